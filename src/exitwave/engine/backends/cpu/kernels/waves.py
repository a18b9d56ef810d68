"""The compiled loops that other loops use: transforms of rows and columns, and the linear phase of a shift."""

import math

from exitwave.engine.backends.cpu.fft.transforms import execute
from exitwave.engine.backends.cpu.kernels.compiled import compiled


@compiled
def ramp(out, shift, n, scale):
    """Write scale * exp(-2 pi i f shift / n) for the frequencies f = 0, 1, .., -1 of an FFT of length n."""
    step = complex(math.cos(2 * math.pi * shift / n), -math.sin(2 * math.pi * shift / n))
    value = complex(scale, 0.0)
    for f in range(n // 2 + 1):
        if f > 0:
            out[2 * (n - f)], out[2 * (n - f) + 1] = value.real, -value.imag
        if 2 * f < n:
            out[2 * f], out[2 * f + 1] = value.real, value.imag
        value *= step


@compiled
def transform_rows(plan, wave, plans):
    """Transform every row with a plan for rows, in place."""
    for k in range(wave.shape[0]):
        for first in range(0, plans.height, plans.rows):
            address = wave[k, first].ctypes.data
            execute(plan, address, address)


@compiled
def transform_columns(plan, wave, plans):
    """Transform every column with a plan for columns, in place."""
    for k in range(wave.shape[0]):
        for left in range(0, plans.stride - plans.columns + 1, plans.columns):
            address = wave[k].ctypes.data + 8 * left
            execute(plan, address, address)


@compiled
def load_probe(waves, spectrum, probe, plans):
    """Copy a probe, shape (modes, ny, 2 * nx), to ``waves``, and its Fourier transform to ``spectrum``."""
    for k in range(probe.shape[0]):
        for r in range(probe.shape[1]):
            for i in range(probe.shape[2]):
                waves[k, r, i] = probe[k, r, i]
        spectrum[k] = waves[k]
    transform_rows(plans.rows_forward, spectrum, plans)
    transform_columns(plans.columns_forward, spectrum, plans)
