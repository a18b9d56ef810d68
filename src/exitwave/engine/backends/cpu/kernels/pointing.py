"""The compiled loops of a beam whose direction varies; the layout of arrays is that of `kernels`."""

import math

from exitwave.engine.backends.cpu.kernels import rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled


@compiled
def tilt(wave, ramp, tilt_y, tilt_x, ny, nx):
    """Multiply waves by exp(2 pi i (t_y (r - ny//2) / ny + t_x (c - nx//2) / nx)); ``ramp`` is scratch for a row."""
    for c in range(nx):
        angle = 2 * math.pi * tilt_x * (c - nx // 2) / nx
        ramp[2 * c], ramp[2 * c + 1] = math.cos(angle), math.sin(angle)
    for r in range(ny):
        angle = 2 * math.pi * tilt_y * (r - ny // 2) / ny
        for k in range(wave.shape[0]):
            rows.turn(wave[k, r], ramp, wave[k, r], math.cos(angle), math.sin(angle), nx)


@compiled
def respond_to_tilt(out, wanted, beam, ny, nx):
    """Write <d psi / d t, chi> for t_y and t_x; ``wanted`` is conj(O) chi, and d psi / d t_y is 2 pi i y / ny psi."""
    along_rows, along_columns = 0.0, 0.0
    for r in range(ny):
        whole, first = 0.0, 0.0
        for k in range(beam.shape[0]):
            p, w = beam[k, r], wanted[k, r]
            for c in range(nx):
                imaginary = p[2 * c] * w[2 * c + 1] - p[2 * c + 1] * w[2 * c]
                whole += imaginary
                first += imaginary * (c - nx // 2)
        along_rows += (r - ny // 2) * whole
        along_columns += first
    out[0], out[1] = 2 * math.pi * along_rows / ny, 2 * math.pi * along_columns / nx
