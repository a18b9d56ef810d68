"""Fourier transforms of the CPU backend; see README.md in this folder for why they exist."""
