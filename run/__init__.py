"""What a run leaves behind: its folder, checkpoints, curves, pictures and report."""
