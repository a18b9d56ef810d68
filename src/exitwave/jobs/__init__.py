"""One reconstruction from files and settings to saved results: what the command line and a batch both call."""
