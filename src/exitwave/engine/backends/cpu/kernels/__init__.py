"""The compiled loops of the CPU backend.

Waves and probes have the layout of `transforms.Plans`, shape (modes, height, 2 * stride), with zeros beyond the frame.
The object is (rows, 2 * columns). Real and imaginary parts are side by side (index 2i and 2i + 1). Operations on rows
are those of `rows`. Names that most loops share:

- ``counts`` (npos, ny, nx), ``invalid`` and ``floor``: see `Problem`; a ``frame`` is ``counts[j]``.
- ``parameters``: `gather.FrameParameters`; ``plans``: `transforms.Plans`; ``noise``: index into `backend.NOISE`.
- ``near``: `near_field.NearField`, or None in the far field; ``detector``: `detector.DetectorArrays`, or None for an
  ideal one. Numba compiles a loop for each of the two types.
- ``frame_probe``: the probe of a frame; ``obj``: the object; ``top`` and ``left``: first row and column of its window.
- ``row_ramp`` (2 * ny,) and ``column_ramp`` (2 * stride,): the two factors of a linear phase in Fourier space.
"""
