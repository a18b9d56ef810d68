"""The Fourier transforms of the CPU backend; README.md in this folder explains why they exist."""
