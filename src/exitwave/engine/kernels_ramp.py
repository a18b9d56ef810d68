"""The compiled loop that writes the linear phase of a shift; for arrays and their layout see `kernels`."""

import math

from exitwave.engine.compiled import compiled


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
