"""Complex numbers as colours: hue is the phase, brightness is the amplitude."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LIGHTNESS, CHROMA = 0.74, 0.125
"""Colour of amplitude one in OKLCH: the largest chroma within sRGB at every hue, so that brightness is uniform."""
RED = np.deg2rad(29.0)
"""Hue of phase zero."""

# B. Ottosson, "A perceptual color space for image processing" (2020): OKLab to the cube roots of cone responses, and
# cone responses to linear sRGB.
_TO_CONES = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
)
_TO_SRGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def colours(field: NDArray[Any], full: float | None = None) -> NDArray[np.float64]:
    """Return sRGB colours of a complex field.

    Lightness and chroma are proportional to the amplitude, and the hue is the phase, in the perceptually uniform space
    OKLCH.

    Parameters
    ----------
    field : ndarray of complex, shape (...)
        Complex numbers.
    full : float, optional
        Amplitude of full brightness; by default the largest.

    Returns
    -------
    ndarray of shape (..., 3)
        Colours, 0 to 1.
    """
    amplitude = np.abs(field)
    largest = float(amplitude.max()) if full is None else full
    bright = np.clip(amplitude / largest, 0, 1) if largest > 0 else np.zeros(field.shape)
    hue = np.angle(field) + RED
    lab = np.stack([LIGHTNESS * bright, CHROMA * bright * np.cos(hue), CHROMA * bright * np.sin(hue)], axis=-1)
    linear = np.clip((lab @ _TO_CONES.T) ** 3 @ _TO_SRGB.T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def wheel(size: int = 256) -> NDArray[np.float64]:
    """Return a colour wheel as RGBA, shape (size, size, 4): phase 0 at the right, pi/2 at the top (row last)."""
    axis = np.linspace(-1, 1, size)
    field = axis + 1j * axis[:, None]
    edge = np.clip((1 - np.abs(field)) * size / 2 + 0.5, 0, 1)
    return np.dstack([colours(field, full=1.0), edge])
