"""What a run is worth: diagnostics, intervals, pictures, page, console, comparison."""
