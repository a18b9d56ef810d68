"""Compiled loops for the noise models: the gradient's factor in a pass, and the loss along a line.

For arrays and their layout see `kernels`; for the models `backend.NOISE`.
"""

import numpy as np

from exitwave.engine.backend import READOUT
from exitwave.engine.backends.cpu.kernels.compiled import compiled

AMPLITUDE, INTENSITY, POISSON = 0, 1, 2
"""The noise models as the loops know them: their places in `backend.NOISE`."""
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
        expected = np.float32(counts[c]) + _READOUT if factors[c] != 0 else np.float32(0.0)  # no mark may come in
        loss += expected * (_ONE / ratio - _ONE + np.log(ratio))
    return _HALF * loss


@compiled
def weigh(model, counts, invalid, noise, normal):
    """Turn a row's intensities into the factor from wave to minus the gradient of a noise model's loss.

    It is ``(I - m) / (2 (I + r))`` or ``(I - m) / (2 (m + r))``, 0 on invalid pixels, for the intensity and the Poisson
    model with m = normal * model, and multiplied by ``normal``. Returns ``sum (sqrt(I) - sqrt(m))^2`` and the loss.
    """
    misfit, loss = np.float32(0.0), np.float32(0.0)
    for c in range(counts.shape[0]):
        good = np.float32(counts[c] != invalid)
        intensity, squared = np.float32(counts[c]) * good, model[c] * normal
        difference = (np.sqrt(intensity) - np.sqrt(squared)) * good
        misfit += difference * difference
        lack, expected = (intensity - squared) * good, intensity + _READOUT
        if noise == INTENSITY:
            model[c] = _HALF * lack / expected * normal
            loss += _HALF * _HALF * lack * lack / expected
        else:
            model[c] = _HALF * lack / (squared + _READOUT) * normal
    if noise == POISSON:
        loss = poisson(model, counts, _TWO / normal)
    return misfit, loss


@compiled
def derivatives(intensity, model, noise, fade):
    """Return - dL/dm and d2L/dm2 of a pixel's loss at the modelled intensity m."""
    if noise == AMPLITUDE:
        inverse = _ONE / (model + fade)
        root = np.sqrt(intensity * model) * inverse
        return root - model * inverse, _HALF * root * inverse
    if noise == INTENSITY:
        curve = _HALF / (intensity + _READOUT)
        return (intensity - model) * curve, curve
    inverse = _ONE / (model + _READOUT)
    return _HALF * (intensity - model) * inverse, _HALF * (intensity + _READOUT) * inverse * inverse


@compiled
def gradients(q, counts, invalid, floor, noise, t, normal):
    """Return the first and second derivative of one row's loss at t, for intensities of coefficients normal * q.

    With f(model) = - dL/dmodel and c = d2L/dmodel2, L' = - f model' and L'' = c model'^2 - f model''.
    """
    first, second, fade = np.float32(0.0), np.float32(0.0), floor * floor
    for c in range(counts.shape[0]):
        good = np.float32(counts[c] != invalid)
        intensity = np.float32(counts[c]) * good
        model = normal * max((((q[4, c] * t + q[3, c]) * t + q[2, c]) * t + q[1, c]) * t + q[0, c], np.float32(0.0))
        d1 = normal * (((_FOUR * q[4, c] * t + _THREE * q[3, c]) * t + _TWO * q[2, c]) * t + q[1, c])
        d2 = normal * ((_TWELVE * q[4, c] * t + _TWO * _THREE * q[3, c]) * t + _TWO * q[2, c])
        force, curve = derivatives(intensity, model, noise, fade)
        first -= good * force * d1
        second += good * (curve * d1 * d1 - force * d2)
    return first, second
