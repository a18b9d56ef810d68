"""Reconstruction: from a Scan to a Result, in metres and with files. Set up, iterate, stop, and make the result."""
