"""Thick samples: a stack of specimens along the beam."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.optics import check_spacing, depth_of_focus, fraunhofer, numerical_aperture
from exitwave.simulation.specimens import SPECIMENS


def make_object(specimen: str, shape: tuple[int, int], slices: int, seed: int) -> NDArray[np.complex64]:
    """Return a specimen, shape (ny, nx), or the slices of a thick one, shape (slices, ny, nx).

    The seeds of the slices are ``seed``, ``seed + 1``, ...
    """
    layers = [SPECIMENS[specimen](shape, seed + n) for n in range(slices)]
    return layers[0] if slices == 1 else np.stack(layers)


def make_slice_positions(
    probe: NDArray[np.complexfloating[Any]],
    pixel: tuple[float, float],
    wavelength: float,
    slices: int,
    spacing: float | None,
) -> NDArray[np.float64] | None:
    """Return the positions of the slices along the beam in metres, shape (slices,), the first at 0; None for one slice.

    Without a spacing they are one depth of focus of the probe apart, wavelength / aperture^2.

    Raises
    ------
    InputError
        If a wave leaves the window between two slices.
    """
    if slices == 1:
        return None
    if spacing is None:
        ny, nx = probe.shape
        angles = wavelength / (ny * pixel[0]), wavelength / (nx * pixel[1])
        spacing = depth_of_focus(wavelength, numerical_aperture(np.abs(fraunhofer(probe)) ** 2, angles))
    check_spacing(spacing, wavelength, probe.shape, pixel)
    return spacing * np.arange(slices, dtype=np.float64)
