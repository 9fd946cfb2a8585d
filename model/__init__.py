"""From raw rows to predictions in the target's unit: layers, export, and the exported model."""

import os
import warnings

# Paddle greets with the state of its executor and of a C++ cache, which concern no user of ours.
os.environ.setdefault("GLOG_minloglevel", "2")
warnings.filterwarnings("ignore", message="No ccache found")
