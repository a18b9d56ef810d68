"""The Fourier transforms of the CPU backend; README.md in this folder says why there are own transforms."""
