"""The reference backend: the definition of every pass, in plain NumPy and complex128."""
