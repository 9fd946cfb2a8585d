"""From a file to float32 rows, parts, statistics and shuffled blocks."""
