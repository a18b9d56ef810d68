"""The compiled loops of the pointing of frames; see `State.pointing`."""

import math

from exitwave.engine.backends.cpu.kernels import rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled


@compiled
def apply_pointing(wave, ramp, t_y, t_x, ny, nx):
    """Multiply waves by exp(2 pi i (t_y (r - ny//2) / ny + t_x (c - nx//2) / nx)); ``ramp`` is scratch for a row."""
    for c in range(nx):
        angle = 2 * math.pi * t_x * (c - nx // 2) / nx
        ramp[2 * c], ramp[2 * c + 1] = math.cos(angle), math.sin(angle)
    for r in range(ny):
        angle = 2 * math.pi * t_y * (r - ny // 2) / ny
        for k in range(wave.shape[0]):
            rows.multiply_ramps(wave[k, r], ramp, wave[k, r], math.cos(angle), math.sin(angle), nx)


@compiled
def write_pointing_responses(out, probe_correction, frame_probe, ny, nx):
    """Write <d psi / d t, chi> for t_y and t_x, with d psi / d t_y = 2 pi i (r - ny//2) / ny psi.

    ``probe_correction`` is conj(O) chi.
    """
    along_rows, along_columns = 0.0, 0.0
    for r in range(ny):
        whole, first = 0.0, 0.0
        for k in range(frame_probe.shape[0]):
            p, w = frame_probe[k, r], probe_correction[k, r]
            for c in range(nx):
                imaginary = p[2 * c] * w[2 * c + 1] - p[2 * c + 1] * w[2 * c]
                whole += imaginary
                first += imaginary * (c - nx // 2)
        along_rows += (r - ny // 2) * whole
        along_columns += first
    out[0], out[1] = 2 * math.pi * along_rows / ny, 2 * math.pi * along_columns / nx
