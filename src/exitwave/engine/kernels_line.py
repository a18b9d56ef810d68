"""The compiled loop along a line through object and probe; for arrays and their layout see `kernels`."""

import numpy as np

from exitwave.engine.compiled import compiled
from exitwave.engine.kernels import exit_waves, ramp, shift, transform
from exitwave.engine.kernels_noise import cross_waves, quartic, slopes


@compiled
def along(frames, stack, invalid, floor, corners, shifts, plans, obj, probe, spectrum, obj_line, probe_line,
          line_spectrum, noise, lengths, out, scratch, q):  # fmt: skip
    """Add the first and second derivative of the loss at (O + t h_O, P + t h_P) to ``out``, shape (lengths, 2).

    The modelled wave is A + t B + t^2 C, with A = F[P O], B = F[P h_O + h_P O], C = F[h_P h_O]. ``scratch`` holds
    buffers for A, B, C and both shifted probes, and the ramps of the shift.
    """
    start, slope, bend, beam_buffer, line_buffer, row_ramp, column_ramp = scratch
    forward, backward = plans
    ny, nx = stack.shape[1], stack.shape[2]
    scale = np.float32(1.0 / (ny * nx))
    for j in frames:
        top, left = corners[j, 0], corners[j, 1]
        beam, line = probe, probe_line
        if shifts[j, 0] != 0.0 or shifts[j, 1] != 0.0:
            ramp(row_ramp, shifts[j, 0], ny, 1.0 / (ny * nx))
            ramp(column_ramp, shifts[j, 1], nx, 1.0)
            shift(beam_buffer, spectrum, row_ramp, column_ramp, ny, nx, backward)
            shift(line_buffer, line_spectrum, row_ramp, column_ramp, ny, nx, backward)
            beam, line = beam_buffer, line_buffer
        exit_waves(start, beam, obj, top, left, ny, nx, forward)
        exit_waves(bend, line, obj_line, top, left, ny, nx, forward)
        cross_waves(slope, beam, obj_line, line, obj, top, left, ny, nx)
        transform(forward, slope)
        for r in range(ny):
            quartic(q, start, slope, bend, r, nx, scale)
            for i in range(lengths.shape[0]):
                first, second = slopes(q, stack[j, r], invalid, floor, noise, lengths[i])
                out[i, 0] += first
                out[i, 1] += second
