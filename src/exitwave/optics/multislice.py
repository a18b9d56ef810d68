"""A thick sample as thin slices with free space between them.

The wave behind slice l is psi_l, with P the beam at the first slice and A the propagation to the next one:

    psi_1 = P O_1,   psi_(l+1) = O_(l+1) A psi_l

J. M. Cowley and A. F. Moodie, Acta Cryst. 10, 609 (1957); for ptychography A. M. Maiden, M. J. Humphry and J. M.
Rodenburg, J. Opt. Soc. Am. A 29, 1606 (2012). Here zero frequency is at [0, 0].
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from exitwave.errors import InputError

Wave = NDArray[np.complexfloating[Any, Any]]
BRIGHT = 0.01
"""Part of a pattern's maximum that counts as background when its cone is measured."""


def exit_wave(beam: Wave, slices: Wave, transfer: Wave) -> Wave:
    """Return the wave behind the last slice.

    Parameters
    ----------
    beam : ndarray of shape (..., ny, nx)
        The wave that enters the first slice.
    slices : ndarray of shape (slices, ny, nx)
        Complex transmissions.
    transfer : ndarray of shape (ny, nx)
        Transfer function from one slice to the next, zero frequency at [0, 0].
    """
    wave = beam * slices[0]
    for each in slices[1:]:
        wave = each * fft.ifft2(fft.fft2(wave) * transfer)
    return wave


def numerical_aperture(pattern: NDArray[np.float64], angles: tuple[float, float]) -> float:
    """Return the half-angle in radians of the cone in which a pattern is bright.

    A disc of half-angle a has a mean square angle of a^2 / 2. Of what lies outside the beam's own cone only what is
    brighter than 1 % of the maximum counts, so that this is the aperture of the illumination.

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

    Over this distance the waves along the axis and along the cone's edge come apart by half a wavelength.
    """
    return wavelength / aperture**2


def check_spacing(spacing: float, wavelength: float, shape: tuple[int, ...], pixel: tuple[float, float]) -> None:
    """Refuse slices so far apart that the transfer function between them is undersampled.

    Raises
    ------
    InputError
        If the waves of the largest angles, wavelength / (2 pixel), leave the window on the way: beyond n pixel^2 /
        wavelength.
    """
    most = min(n * step**2 for n, step in zip(shape[-2:], pixel, strict=True)) / wavelength
    if not 0 < spacing <= most:
        raise InputError(
            "The slices cannot be this far apart",
            found=f"slice_spacing: {spacing:.4g} m",
            remedy=f"Give more than 0 and at most {most:.4g} m, from where on a wave leaves the frame's field of view",
        )
