"""Ambiguities of ptychography: a complex scale and a linear phase ramp of the object do not change the patterns."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from exitwave.optics import phase_ramp

PADDING = 2
"""Factor of zero padding in the Fourier transform that finds the ramp."""


def remove_ramp(
    object: NDArray[Any], mask: NDArray[Any] | None = None
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Remove the constant and the linear part of an object's phase.

    The ramp is the position of the highest peak of the object's Fourier transform, which is the wave that the sample
    does not scatter. It is found to a fraction of a pixel of the transform. Phase wraps and strong phase objects have
    no influence, because nothing is unwrapped. The ramp of an object times exp(i k . r) is larger by exactly k.

    Parameters
    ----------
    object : ndarray of complex, shape (ny, nx)
        Complex transmission.
    mask : ndarray of shape (ny, nx), optional
        Weight of each pixel, 0 to 1; all ones by default.

    Returns
    -------
    flattened : ndarray of complex128, shape (ny, nx)
        The object without ramp; its weighted sum is real and positive. The amplitude is unchanged.
    ramp : ndarray of shape (2,)
        Slope along rows and columns in radians per pixel, within -pi to pi.
    """
    weighted = object.astype(np.complex128) * (1.0 if mask is None else mask)
    if not weighted.any():
        return object.astype(np.complex128), np.zeros(2)
    start = _mean_slope(weighted)  # makes any ramp small, so that the grid of the transform does not matter
    level = weighted * phase_ramp(object.shape, -start)
    ramp = start + _peak(level)
    ramp = np.angle(np.exp(1j * ramp))
    unwind = phase_ramp(object.shape, -ramp)
    total = np.sum(weighted * unwind)
    return object * unwind * np.exp(-1j * np.angle(total)), ramp


def best_scale(a: NDArray[Any], b: NDArray[Any], weights: NDArray[Any] | float = 1.0) -> complex:
    """Return the complex number c = <b, a> / <b, b> that minimises ||c b - a||.

    Parameters
    ----------
    a, b : ndarray of the same shape
        Two complex arrays. If b is zero everywhere, c is 0.
    weights : ndarray or float
        Weight of each element in both inner products.

    Returns
    -------
    complex
    """
    power = np.sum(weights * np.abs(b) ** 2)
    return complex(np.sum(weights * b.conj() * a) / power) if power > 0 else 0j


def _mean_slope(wave: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Return the mean phase step between neighbours (phase of the autocorrelation at lag 1) in radians per pixel."""
    down = np.vdot(wave[:-1], wave[1:])
    right = np.vdot(wave[:, :-1], wave[:, 1:])
    return np.array([np.angle(down), np.angle(right)], dtype=np.float64)


def _peak(wave: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Return the slope in radians per pixel at which the Fourier transform of a wave is largest."""
    padded = [fft.next_fast_len(PADDING * n) for n in wave.shape]
    power = np.abs(fft.fft2(wave, padded))
    index = np.unravel_index(np.argmax(power), power.shape)
    peak = np.array([2 * np.pi * fft.fftfreq(n)[i] for n, i in zip(padded, index, strict=True)])
    return _maximum(wave, peak, np.pi / np.array(wave.shape))


def _maximum(
    wave: NDArray[np.complex128], peak: NDArray[np.float64], reach: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Find the maximum of |F(k)|^2 near a peak on the grid by Newton's method, at most ``reach`` away.

    F(k) = sum g(r) exp(-i k . r) and its derivatives are moments of g, summed along one axis after the other.
    """
    start = peak
    for _ in range(12):
        axes = []
        for n, k in zip(wave.shape, peak, strict=True):
            r = np.arange(n) - (n - 1) / 2
            axes.append(np.stack([np.ones(n), -1j * r, -(r**2)]) * np.exp(-1j * k * r))
        moment = axes[0] @ wave @ axes[1].T
        value, slope = moment[0, 0], np.array([moment[1, 0], moment[0, 1]])
        curve = np.array([[moment[2, 0], moment[1, 1]], [moment[1, 1], moment[0, 2]]])
        gradient = 2 * np.real(value.conj() * slope)
        hessian = 2 * np.real(np.outer(slope.conj(), slope) + value.conj() * curve)
        if hessian[0, 0] >= 0 or np.linalg.det(hessian) <= 0:
            break
        step = np.linalg.solve(hessian, gradient)
        peak = np.clip(peak - step, start - reach, start + reach)
        if np.all(np.abs(step) < 1e-9 * reach):
            break
    return peak
