"""Sub-pixel registration of two complex objects, with the scale and the phase ramp between them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from skimage.registration import phase_cross_correlation

from exitwave.analysis.ambiguities import best_scale, remove_ramp
from exitwave.optics import phase_ramp

BORDER = 16
"""Pixels of padding that fade to the mean, so that a Fourier shift does not wrap the edges around."""


@dataclass(frozen=True)
class Alignment:
    """Transformation of a moving object onto a reference: scale * shifted(moving * exp(i ramp . r))."""

    shift: NDArray[np.float64]
    """Shift of the moving object along rows and columns in pixels; positive towards larger indices."""
    ramp: NDArray[np.float64]
    """Phase slope along rows and columns in radians per pixel; the phase is zero at index n//2."""
    scale: complex
    """Complex factor."""

    def apply(self, moving: NDArray[Any]) -> NDArray[np.complex128]:
        """Return the moving object, shape (ny, nx), aligned to the reference."""
        return self.scale * _shift_padded(moving * phase_ramp(moving.shape, self.ramp), self.shift)


def fourier_shift(array: NDArray[Any], shift: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Shift an array along its last two axes by whole and fractional pixels.

    The array is periodic: F'(q) = F(q) exp(-2 pi i q . shift).

    Parameters
    ----------
    array : ndarray of shape (..., ny, nx)
        Array to shift.
    shift : ndarray of shape (2,)
        Along rows and columns in pixels; positive towards larger indices.

    Returns
    -------
    ndarray of complex128, shape (..., ny, nx)
    """
    spectrum = fft.fft2(np.asarray(array, dtype=np.complex128))
    return np.asarray(fft.ifft2(spectrum * _shift_factor(array.shape[-2:], shift)))


def register(
    moving: NDArray[Any],
    reference: NDArray[Any],
    weights: NDArray[Any] | None = None,
    start: Alignment | None = None,
) -> Alignment:
    """Find the shift, ramp and complex scale that align one object to another.

    They minimise sum w |reference - scale shifted(moving exp(i ramp . r))|^2. The starting values come from the
    cross-correlation of the power spectra (a ramp moves a spectrum, a shift does not) and of the objects, and are
    refined by the Gauss-Newton method. With noise-free objects the error is a few thousandths of a pixel.

    Parameters
    ----------
    moving, reference : ndarray of complex, shape (ny, nx)
        Two complex objects of the same field. The reference should have no ramp (`remove_ramp`).
    weights : ndarray of shape (ny, nx), optional
        Weight of each pixel, 0 to 1, in both; all ones by default.
    start : Alignment, optional
        Starting values, such as the alignment of an earlier iteration; found by correlation where not given.

    Returns
    -------
    Alignment
    """
    w = np.ones(reference.shape) if weights is None else weights.astype(np.float64)
    return _refine(moving, reference, w, start or _coarse_alignment(moving, reference, w))


def _coarse_alignment(moving: NDArray[Any], reference: NDArray[Any], w: NDArray[np.float64]) -> Alignment:
    """Return the shift in pixels and the ramp in radians per pixel that the cross-correlations of two images give."""
    ramp = -_relative_ramp(moving, reference, w)
    level = moving * phase_ramp(moving.shape, ramp)
    shift = _correlate(level, reference, w)
    product = _shift_padded(level, shift) * np.conj(reference)
    residual = remove_ramp(product, w)[1]
    # A coarse ramp is wrong by less than a pixel of the spectrum; a larger residual means that there is no correlation.
    if np.all(np.abs(residual) < 2 * np.pi / np.array(moving.shape)):
        ramp = ramp - residual
    return Alignment(shift, ramp, 1.0)


def _shift_factor(shape: tuple[int, ...], shift: NDArray[np.float64]) -> NDArray[np.complex128]:
    rows, columns = (np.exp(-2j * np.pi * fft.fftfreq(n) * s) for n, s in zip(shape, shift, strict=True))
    return rows[:, None] * columns


def _pad(array: NDArray[Any]) -> NDArray[Any]:
    """Add a border that fades to the mean of the array."""
    return np.pad(array, BORDER, mode="linear_ramp", end_values=array.mean())


def _crop(array: NDArray[Any]) -> NDArray[Any]:
    """Remove the border of `_pad`."""
    return array[..., BORDER:-BORDER, BORDER:-BORDER]


def _shift_padded(array: NDArray[Any], shift: NDArray[np.float64]) -> NDArray[np.complex128]:
    return _crop(fourier_shift(_pad(array), shift))


def _relative_ramp(a: NDArray[Any], b: NDArray[Any], w: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ramp of a relative to that of b in radians per pixel, for any shift between them."""
    padded = [fft.next_fast_len(2 * n) for n in a.shape]
    one, two = (fft.ifft2(np.abs(fft.fft2(w * wave, padded)) ** 2) for wave in (a, b))
    # The autocorrelations of the same object differ only by exp(i ramp . lag).
    return remove_ramp(fft.fftshift(one * np.conj(two)))[1]


def _correlate(moving: NDArray[Any], reference: NDArray[Any], w: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the shift of the moving object onto the reference to a tenth of a pixel, by cross-correlation."""
    one, two = (w * (wave - np.sum(w * wave) / w.sum()) for wave in (reference, moving))
    if not (one.any() and two.any()):
        return np.zeros(2)
    return np.asarray(phase_cross_correlation(one, two, upsample_factor=10, normalization=None)[0])


def _refine(moving: NDArray[Any], reference: NDArray[Any], w: NDArray[np.float64], start: Alignment) -> Alignment:
    """Refine scale, ramp and shift by Gauss-Newton steps as long as the misfit decreases."""
    shift, ramp = start.shift, start.ramp
    best, lowest = start, np.inf
    for _ in range(20):
        image, slopes = _shifted_with_slopes(moving * phase_ramp(moving.shape, ramp), shift)
        scale = best_scale(reference, image, w)
        residual = reference - scale * image
        cost = float(np.sum(w * np.abs(residual) ** 2))
        if cost >= lowest:
            break
        best, gain, lowest = Alignment(shift, ramp, scale), lowest - cost, cost
        r = (np.arange(n) - n // 2 - s for n, s in zip(image.shape, shift, strict=True))
        y, x = np.meshgrid(*r, indexing="ij", sparse=True)
        columns = [image, 1j * image, 1j * y * image, 1j * x * image, -slopes[0], -slopes[1]]
        step = _least_squares([scale * column for column in columns], residual, w)
        ramp, shift = ramp + step[2:4], shift + np.clip(step[4:6], -1, 1)
        if gain <= 1e-12 * cost or np.max(np.abs(step[4:6])) < 1e-7:
            break
    return best


def _shifted_with_slopes(
    wave: NDArray[Any], shift: NDArray[np.float64]
) -> tuple[NDArray[np.complex128], list[NDArray[np.complex128]]]:
    """Return the shifted wave and its derivatives along rows and columns, from one spectrum."""
    padded = _pad(wave)
    spectrum = fft.fft2(padded) * _shift_factor(padded.shape, shift)
    qy, qx = (2j * np.pi * fft.fftfreq(n) for n in padded.shape)
    slopes = [_crop(fft.ifft2(spectrum * q)) for q in (qy[:, None], qx)]
    return _crop(fft.ifft2(spectrum)), slopes


def _least_squares(
    columns: list[NDArray[np.complex128]], residual: NDArray[np.complex128], w: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Solve the normal equations for real coefficients of complex columns; the coefficient of a zero column is zero."""
    normal = np.array([[np.sum(w * np.real(np.conj(a) * b)) for b in columns] for a in columns])
    right = np.array([np.sum(w * np.real(np.conj(a) * residual)) for a in columns])
    size = np.sqrt(np.diag(normal))
    size[size == 0] = 1.0
    return np.linalg.lstsq(normal / np.outer(size, size), right / size, rcond=1e-10)[0] / size
