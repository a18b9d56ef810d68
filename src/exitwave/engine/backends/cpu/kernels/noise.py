"""The compiled noise models: the factor of the correction in a pass, and the derivatives of the loss along a line.

The definition with its sources is `backends.reference.likelihood`. The same terms occur here in several forms, each
with the operations that its loop vectorises best: in `rows` for the amplitude model with an ideal detector, in
`correction_factors` for the other models, in `derivatives` for one pixel, and in `detector` with flat field, background
and saturated pixels. A single form would round differently and be slower.
"""

import numpy as np

from exitwave.engine.backend import READOUT
from exitwave.engine.backends.cpu.kernels.compiled import compiled

AMPLITUDE, INTENSITY, POISSON = 0, 1, 2
"""The noise models in the loops: their indices in `backend.NOISE`."""
READOUT_VARIANCE = np.float32(READOUT)
_HALF, _ONE, _TWO, _THREE, _FOUR, _TWELVE = map(np.float32, (0.5, 1, 2, 3, 4, 12))
"""Single precision: an integer would make the arithmetic double."""


@compiled
def poisson_loss(factors, counts, scale):
    """Return one row's loss (m - I + (I + r) log((I + r) / (m + r))) / 2 from (I - m) / (m + r) = factor * scale.

    It is a loop of its own, because compilers do not vectorise the logarithm.
    """
    loss = np.float32(0.0)
    for c in range(counts.shape[0]):
        ratio = _ONE + factors[c] * scale
        # a factor of 0 may be an invalid pixel, whose count must not enter
        expected = np.float32(counts[c]) + READOUT_VARIANCE if factors[c] != 0 else np.float32(0.0)
        loss += expected * (_ONE / ratio - _ONE + np.log(ratio))
    return _HALF * loss


@compiled
def correction_factors(model, counts, invalid, noise, normal):
    """Replace a row's intensities by the factors from wave to correction, for the intensity and the Poisson model.

    The factor is normal * (-dL/dm) with m = normal * model, and 0 on invalid pixels. Returns
    ``sum (sqrt(I) - sqrt(m))^2`` and the loss.
    """
    misfit, loss = np.float32(0.0), np.float32(0.0)
    for c in range(counts.shape[0]):
        good = np.float32(counts[c] != invalid)
        intensity, squared = np.float32(counts[c]) * good, model[c] * normal
        difference = (np.sqrt(intensity) - np.sqrt(squared)) * good
        misfit += difference * difference
        lack, variance = (intensity - squared) * good, intensity + READOUT_VARIANCE
        if noise == INTENSITY:
            model[c] = _HALF * lack / variance * normal
            loss += _HALF * _HALF * lack * lack / variance
        else:
            model[c] = _HALF * lack / (squared + READOUT_VARIANCE) * normal
    if noise == POISSON:
        loss = poisson_loss(model, counts, _TWO / normal)
    return misfit, loss


@compiled
def derivatives(intensity, model, noise, fade):
    """Return -dL/dm and d2L/dm2 of a pixel at modelled counts m; ``fade`` is the square of the floor."""
    if noise == AMPLITUDE:
        inverse = _ONE / (model + fade)
        root = np.sqrt(intensity * model) * inverse
        return root - model * inverse, _HALF * root * inverse
    if noise == INTENSITY:
        curvature = _HALF / (intensity + READOUT_VARIANCE)
        return (intensity - model) * curvature, curvature
    inverse = _ONE / (model + READOUT_VARIANCE)
    return _HALF * (intensity - model) * inverse, _HALF * (intensity + READOUT_VARIANCE) * inverse * inverse


@compiled
def line_derivatives(q, counts, invalid, floor, noise, t, normal):
    """Return the first and second derivative of one row's loss at t, for intensities of coefficients normal * q.

    With f(m) = -dL/dm and c = d2L/dm2, L' = -f m' and L'' = c m'^2 - f m''. `detector.line_derivatives` repeats the
    polynomials, because a shared function changes the order of the relaxed arithmetic, and so the rounding.
    """
    first, second, fade = np.float32(0.0), np.float32(0.0), floor * floor
    for c in range(counts.shape[0]):
        good = np.float32(counts[c] != invalid)
        intensity = np.float32(counts[c]) * good
        model = normal * max((((q[4, c] * t + q[3, c]) * t + q[2, c]) * t + q[1, c]) * t + q[0, c], np.float32(0.0))
        d1 = normal * (((_FOUR * q[4, c] * t + _THREE * q[3, c]) * t + _TWO * q[2, c]) * t + q[1, c])
        d2 = normal * ((_TWELVE * q[4, c] * t + _TWO * _THREE * q[3, c]) * t + _TWO * q[2, c])
        force, curvature = derivatives(intensity, model, noise, fade)
        first -= good * force * d1
        second += good * (curvature * d1 * d1 - force * d2)
    return first, second
