"""The CPU backend: Numba loops and FFTs; each thread carries one frame at a time through the whole chain."""
