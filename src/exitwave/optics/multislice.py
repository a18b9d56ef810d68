"""Multislice model: a thick sample as thin slices with free space between them.

The wave behind slice l is psi_l, with P the probe at the first slice and A the propagation to the next slice:

    psi_1 = P O_1,   psi_(l+1) = O_(l+1) A psi_l

J. M. Cowley and A. F. Moodie, Acta Cryst. 10, 609 (1957); for ptychography A. M. Maiden, M. J. Humphry and J. M.
Rodenburg, J. Opt. Soc. Am. A 29, 1606 (2012). Zero frequency is at [0, 0] here.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from exitwave.errors import InputError

Wave = NDArray[np.complexfloating[Any, Any]]
BRIGHT = 0.01
"""Background level, relative to the maximum of the pattern, in the measurement of its cone."""


def exit_wave(probe: Wave, slices: Wave, transfer: Wave) -> Wave:
    """Return the exit wave behind the last slice.

    Parameters
    ----------
    probe : ndarray of shape (..., ny, nx)
        The wave that enters the first slice.
    slices : ndarray of shape (slices, ny, nx)
        Complex transmissions.
    transfer : ndarray of shape (ny, nx)
        Transfer function from one slice to the next, zero frequency at [0, 0].
    """
    wave = probe * slices[0]
    for transmission in slices[1:]:
        wave = transmission * fft.ifft2(fft.fft2(wave) * transfer)
    return wave


def numerical_aperture(pattern: NDArray[np.float64], angles: tuple[float, float]) -> float:
    """Return the half-angle in radians of the bright cone of a pattern.

    A uniform disc of half-angle a has a mean square angle of a^2 / 2. Counts below 1 % of the maximum are ignored, so
    that scattering by the sample outside the cone of the probe does not contribute.

    Parameters
    ----------
    pattern : ndarray of shape (ny, nx)
        Counts, zero frequency at n//2.
    angles : tuple of float
        Angle (y, x) from one pixel to the next in radians.
    """
    y, x = ((np.arange(n) - n // 2) * step for n, step in zip(pattern.shape, angles, strict=True))
    bright = np.clip(pattern - BRIGHT * pattern.max(), 0, None)
    return float(np.sqrt(2 * (bright * (y[:, None] ** 2 + x**2)).sum() / bright.sum()))


def depth_of_focus(wavelength: float, aperture: float) -> float:
    """Return wavelength / aperture^2 in metres: Born and Wolf, Principles of Optics, 7th ed., section 8.8.

    Over this distance the phases along the axis and along the edge of the cone differ by half a wavelength.
    """
    return wavelength / aperture**2


def check_spacing(spacing: float, wavelength: float, shape: tuple[int, ...], pixel: tuple[float, float]) -> None:
    """Raise InputError if slices are so far apart that the transfer function between them is undersampled.

    Raises
    ------
    InputError
        If the spacing is not positive, or is larger than n pixel^2 / wavelength. Beyond it, waves at the largest angle,
        wavelength / (2 pixel), leave the window between two slices.
    """
    most = min(n * step**2 for n, step in zip(shape[-2:], pixel, strict=True)) / wavelength
    if not 0 < spacing <= most:
        raise InputError(
            "This spacing of the slices is not possible",
            found=f"slice_spacing: {spacing:.4g} m",
            remedy=f"Give more than 0 and at most {most:.4g} m; beyond it waves leave the field of view of a frame",
        )
