"""Compiled loops for the noise models: the gradient's factor in a pass, and the loss along a line.

For arrays and their layout see `kernels`; for the models `sweeps.NOISE`.
"""

import numpy as np

from exitwave.engine.compiled import compiled
from exitwave.engine.sweeps import READOUT

AMPLITUDE, INTENSITY, POISSON = 0, 1, 2
"""The noise models as the loops know them: their places in `sweeps.NOISE`."""
_READOUT = np.float32(READOUT)
_HALF, _ONE, _TWO, _THREE, _FOUR, _TWELVE = map(np.float32, (0.5, 1, 2, 3, 4, 12))  # an integer makes it double


@compiled
def poisson(factors, counts, scale):
    """Return one row's loss (m - I + (I + r) log((I + r) / (m + r))) / 2 from (I - m) / (m + r) = factor * scale.

    A loop of its own, since the logarithm is the one thing here that compilers do not vectorise.
    """
    loss = np.float32(0.0)
    for c in range(counts.shape[0]):
        ratio = _ONE + factors[c] * scale
        expected = np.float32(counts[c]) + _READOUT
        loss += expected * (_ONE / ratio - _ONE + np.log(ratio))
    return _HALF * loss


@compiled
def weigh(wave, frame, invalid, noise, row, ny, nx):
    """Turn the propagated waves into minus the gradient of the intensity or the Poisson model's loss, in place.

    The factor is ``(I - model) / (2 (I + r))`` or ``(I - model) / (2 (model + r))``, 0 on invalid pixels. Returns
    ``sum (sqrt(I) - sqrt(model))^2``, ``sum I`` and the loss over the valid pixels; ``row`` is scratch of nx numbers.
    """
    scale = np.float32(1.0 / (ny * nx))
    misfit, signal, loss = 0.0, 0.0, 0.0
    for r in range(ny):
        row[:] = 0
        for k in range(wave.shape[0]):
            w = wave[k, 2 * r * nx : 2 * (r + 1) * nx]
            for c in range(nx):
                row[c] += w[2 * c] * w[2 * c] + w[2 * c + 1] * w[2 * c + 1]
        counts, row_misfit, row_signal, row_loss = frame[r], np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for c in range(nx):
            good = np.float32(counts[c] != invalid)
            intensity, squared = np.float32(counts[c]) * good, row[c] * scale
            difference = (np.sqrt(intensity) - np.sqrt(squared)) * good
            row_misfit += difference * difference
            row_signal += intensity
            lack, expected = (intensity - squared) * good, intensity + _READOUT
            if noise == INTENSITY:
                row[c] = _HALF * lack / expected * scale
                row_loss += _HALF * _HALF * lack * lack / expected
            else:
                row[c] = _HALF * lack / (squared + _READOUT) * scale
        if noise == POISSON:
            row_loss = poisson(row, counts, _TWO / scale)
        for k in range(wave.shape[0]):
            w = wave[k, 2 * r * nx : 2 * (r + 1) * nx]
            for c in range(nx):
                w[2 * c] *= row[c]
                w[2 * c + 1] *= row[c]
        misfit += row_misfit
        signal += row_signal
        loss += row_loss
    return misfit, signal, loss


@compiled
def cross_waves(wave, first, obj, second, other, top, left, ny, nx):
    """Write first * obj + second * other for every mode: the exit wave's derivative where a line starts."""
    for k in range(wave.shape[0]):
        for r in range(ny):
            w = wave[k, 2 * r * nx : 2 * (r + 1) * nx]
            p, q = first[k, 2 * r * nx : 2 * (r + 1) * nx], second[k, 2 * r * nx : 2 * (r + 1) * nx]
            a, b = obj[top + r, 2 * left : 2 * (left + nx)], other[top + r, 2 * left : 2 * (left + nx)]
            for c in range(nx):
                re = p[2 * c] * a[2 * c] - p[2 * c + 1] * a[2 * c + 1]
                im = p[2 * c] * a[2 * c + 1] + p[2 * c + 1] * a[2 * c]
                w[2 * c] = re + q[2 * c] * b[2 * c] - q[2 * c + 1] * b[2 * c + 1]
                w[2 * c + 1] = im + q[2 * c] * b[2 * c + 1] + q[2 * c + 1] * b[2 * c]


@compiled
def quartic(q, start, slope, bend, r, nx, scale):
    """Write the coefficients of sum_k |A + t B + t^2 C|^2 for row r, shape (5, nx), lowest order first."""
    q[:] = 0
    for k in range(start.shape[0]):
        a = start[k, 2 * r * nx : 2 * (r + 1) * nx]
        b, d = slope[k, 2 * r * nx : 2 * (r + 1) * nx], bend[k, 2 * r * nx : 2 * (r + 1) * nx]
        for c in range(nx):
            ar, ai, br, bi, dr, di = a[2 * c], a[2 * c + 1], b[2 * c], b[2 * c + 1], d[2 * c], d[2 * c + 1]
            q[0, c] += scale * (ar * ar + ai * ai)
            q[1, c] += scale * _TWO * (ar * br + ai * bi)
            q[2, c] += scale * (br * br + bi * bi + _TWO * (ar * dr + ai * di))
            q[3, c] += scale * _TWO * (br * dr + bi * di)
            q[4, c] += scale * (dr * dr + di * di)


@compiled
def slopes(q, counts, invalid, floor, noise, t):
    """Return the first and second derivative of one row's loss at t, for the intensities ``q``.

    With f(model) = - dL/dmodel and c = d2L/dmodel2, L' = - f model' and L'' = c model'^2 - f model''.
    """
    first, second, fade = np.float32(0.0), np.float32(0.0), floor * floor
    for c in range(counts.shape[0]):
        good = np.float32(counts[c] != invalid)
        intensity = np.float32(counts[c]) * good
        model = max((((q[4, c] * t + q[3, c]) * t + q[2, c]) * t + q[1, c]) * t + q[0, c], np.float32(0.0))
        d1 = ((_FOUR * q[4, c] * t + _THREE * q[3, c]) * t + _TWO * q[2, c]) * t + q[1, c]
        d2 = (_TWELVE * q[4, c] * t + _TWO * _THREE * q[3, c]) * t + _TWO * q[2, c]
        if noise == AMPLITUDE:
            inverse = _ONE / (model + fade)
            root = np.sqrt(intensity * model) * inverse
            force, curve = root - model * inverse, _HALF * root * inverse
        elif noise == INTENSITY:
            curve = _HALF / (intensity + _READOUT)
            force = (intensity - model) * curve
        else:
            inverse = _ONE / (model + _READOUT)
            force = _HALF * (intensity - model) * inverse
            curve = _HALF * (intensity + _READOUT) * inverse * inverse
        first -= good * force * d1
        second += good * (curve * d1 * d1 - force * d2)
    return first, second
