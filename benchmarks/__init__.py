"""Side by side with peers on one machine: ratios, not seconds."""
