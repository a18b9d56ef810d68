"""Exitwave: from a ptychography scan in a CXI file to a complex image of the sample, and back into a CXI file."""

__version__ = "0.1.0"
