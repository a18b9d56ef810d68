"""The compiled loops that weigh a change of object and probe against what the frames ask for; see `kernels`."""

import numpy as np

from exitwave.engine.compiled import compiled
from exitwave.engine.kernels import ramp, shift


@compiled
def add_products(out, chi, beam, change, obj, d_obj, r, top, left, nx):
    """Add row r of the products of a = dO P and b = dP O with each other and with chi, over all modes."""
    o, d = obj[top + r, 2 * left : 2 * (left + nx)], d_obj[top + r, 2 * left : 2 * (left + nx)]
    for k in range(beam.shape[0]):
        row = slice(2 * r * nx, 2 * (r + 1) * nx)
        p, q, w = beam[k, row], change[k, row], chi[k, row]
        aa, bb, ab, aw, bw = np.float32(0), np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for c in range(nx):
            a_re = d[2 * c] * p[2 * c] - d[2 * c + 1] * p[2 * c + 1]
            a_im = d[2 * c] * p[2 * c + 1] + d[2 * c + 1] * p[2 * c]
            b_re = o[2 * c] * q[2 * c] - o[2 * c + 1] * q[2 * c + 1]
            b_im = o[2 * c] * q[2 * c + 1] + o[2 * c + 1] * q[2 * c]
            aa += a_re * a_re + a_im * a_im
            bb += b_re * b_re + b_im * b_im
            ab += a_re * b_re + a_im * b_im
            aw += a_re * w[2 * c] + a_im * w[2 * c + 1]
            bw += b_re * w[2 * c] + b_im * w[2 * c + 1]
        out[0] += aa
        out[1] += bb
        out[2] += ab
        out[3] += aw
        out[4] += bw


@compiled
def products(out, frames, chi, corners, shifts, backward, objects, beams, changes, scratch, ny, nx):
    """Write the five products of every frame; see `Sweeps.products`.

    ``objects`` are the object and its change, ``beams`` the probe and its spectrum, ``changes`` the same of the
    probe's change; ``chi`` is (frames, modes, 2 * ny * nx).
    """
    first, second, _, row_ramp, column_ramp = scratch
    for i, j in enumerate(frames):
        beam, change = beams[0], changes[0]
        if shifts[j, 0] != 0.0 or shifts[j, 1] != 0.0:
            ramp(row_ramp, shifts[j, 0], ny, 1.0 / (ny * nx))
            ramp(column_ramp, shifts[j, 1], nx, 1.0)
            shift(first, beams[1], row_ramp, column_ramp, ny, nx, backward)
            shift(second, changes[1], row_ramp, column_ramp, ny, nx, backward)
            beam, change = first, second
        for r in range(ny):
            add_products(out[i], chi[i], beam, change, *objects, r, corners[j, 0], corners[j, 1], nx)
