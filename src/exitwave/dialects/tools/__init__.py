"""Shared by the file formats: reading and writing arrays, checks, positions, masks, and the variants of CXI."""
