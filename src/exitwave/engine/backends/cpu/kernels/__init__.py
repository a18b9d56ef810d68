"""The compiled loops of the CPU backend.

Waves and probes have the layout of `fourier.Plans`, shape (modes, height, 2 * stride), with zeros beyond the frame; the
object is (rows, 2 * columns). Real and imaginary parts lie side by side (index 2i and 2i + 1). Operations on rows are
those of `rows`.
"""
