"""Free-space propagation of sampled waves. Waves are centred: index n//2 is the optical axis.

All functions are linear and act on the last two axes. The constant phase exp(2 pi i distance / wavelength) is left out.
The sign convention is exp(i k z): a diverging wave has a positive quadratic phase. Matter with the refractive index
1 - delta + i beta gives a negative phase.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from exitwave.errors import InputError
from exitwave.units import H_C

Wave = NDArray[np.complexfloating[Any, Any]]
_AXES = (-2, -1)


def wavelength(energy: float) -> float:
    """Return the wavelength in metres of photons of an energy in eV.

    Raises
    ------
    InputError
        If the energy is not positive.
    """
    if not energy > 0:
        raise InputError(f"{energy} eV is not a photon energy", remedy="Give the energy in eV, such as 10000")
    return H_C / energy


def object_pixel(
    wavelength: float, distance: float, shape: tuple[int, int], detector_pixel: tuple[float, float]
) -> tuple[float, float]:
    """Return the pixel size (y, x) in metres at the sample for a far-field detector: wavelength * distance / extent.

    Parameters
    ----------
    wavelength, distance : float
        Wavelength and distance from sample to detector in metres.
    shape : tuple of int
        Number of detector pixels (ny, nx).
    detector_pixel : tuple of float
        Size of a detector pixel (y, x) in metres.
    """
    reach = wavelength * distance
    return reach / (shape[0] * detector_pixel[0]), reach / (shape[1] * detector_pixel[1])


def frequencies(shape: tuple[int, ...], pixel: tuple[float, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the spatial frequencies in 1/m of the FFT of a wave, shapes (ny, 1) and (1, nx), zero at [0, 0]."""
    fy, fx = (np.asarray(np.fft.fftfreq(n, step), np.float64) for n, step in zip(shape[-2:], pixel, strict=True))
    return fy[:, None], fx[None, :]


def phase_ramp(shape: tuple[int, int], ramp: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return exp(i ramp . r), with r counted from index n//2.

    Parameters
    ----------
    shape : tuple of int
        Shape (ny, nx) of the array.
    ramp : ndarray of shape (2,)
        Slope along rows and columns in radians per pixel.

    Returns
    -------
    ndarray of complex128, shape (ny, nx)
    """
    rows, columns = (np.exp(1j * slope * (np.arange(n) - n // 2)) for n, slope in zip(shape, ramp, strict=True))
    return rows[:, None] * columns


def fraunhofer(wave: Wave) -> Wave:
    """Return the far field of a centred wave, centred: the unitary discrete Fourier transform.

    Parameters
    ----------
    wave : ndarray of shape (..., ny, nx)
        Wave behind the sample, sampled with pixel dx.

    Returns
    -------
    ndarray of shape (..., ny, nx)
        Wave at the detector; one pixel is an angle of wavelength / (n * dx).
    """
    return fft.fftshift(fft.fft2(fft.ifftshift(wave, axes=_AXES), norm="ortho"), axes=_AXES)


def inverse_fraunhofer(wave: Wave) -> Wave:
    """Return the wave, shape (..., ny, nx), with a given far field; the inverse and adjoint of `fraunhofer`."""
    return fft.fftshift(fft.ifft2(fft.ifftshift(wave, axes=_AXES), norm="ortho"), axes=_AXES)


def _filter(wave: Wave, transfer: Wave) -> Wave:
    # The shift of a centred wave commutes with a filter and can be omitted.
    return fft.ifft2(fft.fft2(wave) * transfer)


def angular_spectrum_rate(shape: tuple[int, ...], wavelength: float, pixel: tuple[float, float]) -> NDArray[np.float64]:
    """Return 2 pi (sqrt(1/lambda^2 - f^2) - 1/lambda), shape (ny, nx): phase of plane waves per metre of propagation.

    Zero frequency is at [0, 0]. Evanescent waves are NaN.
    """
    fy, fx = frequencies(shape, pixel)
    sine2 = (wavelength * fy) ** 2 + (wavelength * fx) ** 2
    # cos - 1 = -sin^2 / (1 + cos), which is accurate at the small angles of X-rays
    with np.errstate(invalid="ignore"):
        return -2 * np.pi / wavelength * sine2 / (1 + np.sqrt(1 - sine2))


def angular_spectrum_kernel(
    shape: tuple[int, ...], distance: float, wavelength: float, pixel: tuple[float, float]
) -> Wave:
    """Return exp(2 pi i z (sqrt(1/lambda^2 - f^2) - 1/lambda)), shape (ny, nx), zero frequency at [0, 0].

    Evanescent waves become 0; an X-ray wave that is sampled more coarsely than lambda/2 has none.
    """
    rate = angular_spectrum_rate(shape, wavelength, pixel)
    return np.where(np.isfinite(rate), np.exp(1j * distance * np.nan_to_num(rate)), 0)


def angular_spectrum(wave: Wave, distance: float, wavelength: float, pixel: tuple[float, float]) -> Wave:
    """Propagate a wave by the angular-spectrum method, which is unitary, and exact for a periodic wave.

    Parameters
    ----------
    wave : ndarray of shape (..., ny, nx)
        The wave.
    distance : float
        Distance in metres, positive downstream. The adjoint and inverse is propagation by ``-distance``.
    wavelength : float
        Wavelength in metres.
    pixel : tuple of float
        Pixel (y, x) in metres.

    Returns
    -------
    ndarray of shape (..., ny, nx)
        The wave at ``distance`` with the same pixel. What leaves the array on one side re-enters on the opposite side.

    References
    ----------
    J. W. Goodman, Introduction to Fourier Optics, 3rd ed., eq. 3-66.
    """
    return _filter(wave, angular_spectrum_kernel(wave.shape, distance, wavelength, pixel))


def fresnel(wave: Wave, distance: float, wavelength: float, pixel: tuple[float, float]) -> Wave:
    """Propagate a wave in the paraxial approximation, transfer function exp(-i pi lambda z f^2).

    Parameters
    ----------
    wave : ndarray of shape (..., ny, nx)
        The wave.
    distance : float
        Distance in metres, positive downstream. The adjoint is propagation by ``-distance``.
    wavelength : float
        Wavelength in metres.
    pixel : tuple of float
        Pixel (y, x) in metres.

    Returns
    -------
    ndarray of shape (..., ny, nx)
        The wave at ``distance`` with the same pixel.

    Notes
    -----
    Beyond ``abs(z) = n dx^2 / lambda`` the transfer function is undersampled at high frequencies, which leave the array
    sideways. They are removed above ``abs(f) = n dx / (2 lambda abs(z))``. Up to this distance the function is unitary.

    References
    ----------
    Goodman, eq. 4-20; band limit: Matsushima and Shimobaba, Opt. Express 17, 19662 (2009), paraxial.
    """
    fy, fx = frequencies(wave.shape, pixel)
    transfer = np.exp(-1j * np.pi * wavelength * distance * (fy**2 + fx**2))
    for f, n, step in ((fy, wave.shape[-2], pixel[0]), (fx, wave.shape[-1], pixel[1])):
        transfer = transfer * (2 * wavelength * abs(distance) * np.abs(f) <= n * step * (1 + 1e-9))
    return _filter(wave, transfer)
