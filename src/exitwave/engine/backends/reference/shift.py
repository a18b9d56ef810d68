"""The sub-pixel shift of waves, and its derivative."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def fourier_shift(waves: NDArray[Any], shift: NDArray[Any]) -> NDArray[np.complex128]:
    """Shift waves towards higher rows and columns by a linear phase in Fourier space, periodic at the edges.

    P(r - s) = F^-1 [exp(-2 pi i f . s) F P], with the spatial frequencies f in 1 / pixel (the Fourier shift theorem:
    J. W. Goodman, Introduction to Fourier Optics, 3rd ed., section 2.1.3). The adjoint is the shift by -s.

    Parameters
    ----------
    waves : ndarray of shape (..., ny, nx)
        Waves.
    shift : ndarray of shape (2,)
        Shift s along rows and columns in pixels.
    """
    fy, fx = (np.fft.fftfreq(n) for n in waves.shape[-2:])
    ramp = np.exp(-2j * np.pi * (fy[:, None] * float(shift[0]) + fx * float(shift[1])))
    return np.asarray(np.fft.ifft2(np.fft.fft2(waves) * ramp))


def shift_derivatives(waves: NDArray[Any]) -> list[NDArray[np.complex128]]:
    """Return the derivatives of waves with respect to a shift along rows and along columns: F^-1 [-2 pi i f F P]."""
    fy, fx = (np.fft.fftfreq(n) for n in waves.shape[-2:])
    spectrum = np.fft.fft2(waves)
    return [np.asarray(np.fft.ifft2(-2j * np.pi * f * spectrum)) for f in (fy[:, None], fx)]
