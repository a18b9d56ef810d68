"""One short file for each algorithm."""
