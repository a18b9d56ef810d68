"""Probes: the wave that a lens puts on the sample, computed from the lens or taken from the data.

In the far field of its focus a lens is a pupil: the wave at the angle (lambda f) is the pupil's transmission there. So
the focus is the Fourier transform of the pupil, and the sample plane is the focus propagated by the defocus.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from exitwave.errors import InputError
from exitwave.optics.propagate import (
    Wave,
    angular_spectrum_kernel,
    frequencies,
    inverse_fraunhofer,
)

BACKGROUND = 0.1
"""Part of the bright field's intensity below which a mean pattern is scattering by the sample, not the lens's pupil."""


def zone_plate_probe(
    shape: tuple[int, int],
    pixel: tuple[float, float],
    wavelength: float,
    *,
    diameter: float,
    outermost_zone: float,
    central_stop: float = 0.0,
    defocus: float = 0.0,
) -> Wave:
    """Return the first-order probe of a Fresnel zone plate with a central stop.

    The focal length is diameter * outermost_zone / wavelength, so the pupil is the ring of spatial frequencies between
    (central_stop / diameter) / (2 outermost_zone) and 1 / (2 outermost_zone).

    Parameters
    ----------
    shape : tuple of int
        Shape (ny, nx) of the probe.
    pixel : tuple of float
        Object pixel (y, x) in metres.
    wavelength : float
        Wavelength in metres.
    diameter, outermost_zone, central_stop : float
        Diameter of the zone plate, width of its outermost zone and diameter of the central stop in metres.
    defocus : float
        Distance from the focus to the sample in metres, positive downstream.

    Returns
    -------
    ndarray of shape (ny, nx)
        The probe, its axis at index n//2, sum of ``abs(probe)**2`` equal to 1.

    Raises
    ------
    InputError
        If the pupil is wider than the sampling can hold, the beam wider than the array, or the stop covers the lens.
    """
    if not 0 <= central_stop < diameter:
        raise InputError(
            "The central stop covers the zone plate",
            found=f"stop {central_stop:.4g} m, zone plate {diameter:.4g} m",
            remedy="Give a stop smaller than the zone plate",
        )
    edge = 1 / (2 * outermost_zone)
    _check_fit(shape, pixel, (edge, edge), wavelength, (defocus, defocus))
    fy, fx = frequencies(shape, pixel)
    radius = np.hypot(fy, fx)
    # width of a frequency pixel along the radius, over which the edge of the pupil falls from 1 to 0
    width = np.hypot(fy / (shape[0] * pixel[0]), fx / (shape[1] * pixel[1])) / np.maximum(radius, 1e-300)
    width[0, 0] = np.sqrt(width[0, 1] * width[1, 0])
    pupil = _soft(edge - radius, width)
    if central_stop > 0:
        pupil = pupil - _soft(edge * central_stop / diameter - radius, width)
    return _normalised_focus(pupil * angular_spectrum_kernel(shape, defocus, wavelength, pixel))


def rectangular_probe(
    shape: tuple[int, int],
    pixel: tuple[float, float],
    wavelength: float,
    *,
    aperture: tuple[float, float],
    focal_length: tuple[float, float],
    defocus: float | tuple[float, float] = 0.0,
) -> Wave:
    """Return the probe of a rectangular lens: a pair of Kirkpatrick-Baez mirrors or a lens behind slits.

    Each axis focuses on its own, so the foci may lie at different places (astigmatism).

    Parameters
    ----------
    shape : tuple of int
        Shape (ny, nx) of the probe.
    pixel : tuple of float
        Object pixel (y, x) in metres.
    wavelength : float
        Wavelength in metres.
    aperture, focal_length : tuple of float
        Opening of the lens and distance from the lens to its focus (y, x) in metres.
    defocus : float or tuple of float
        Distance from the focus to the sample (y, x) in metres, positive downstream; paraxial.

    Returns
    -------
    ndarray of shape (ny, nx)
        The probe, its axis at index n//2, sum of ``abs(probe)**2`` equal to 1.

    Raises
    ------
    InputError
        If the pupil is wider than the sampling can hold or the beam wider than the array.
    """
    edges = tuple(a / (2 * f * wavelength) for a, f in zip(aperture, focal_length, strict=True))
    distances = defocus if isinstance(defocus, tuple) else (defocus, defocus)
    _check_fit(shape, pixel, edges, wavelength, distances)
    pupil: Wave = np.ones(shape, dtype=np.complex128)
    axes = zip(frequencies(shape, pixel), edges, distances, shape, pixel, strict=True)
    for f, edge, distance, n, step in axes:
        width = 1 / (n * step)
        inside = np.clip(f + width / 2, -edge, edge) - np.clip(f - width / 2, -edge, edge)
        pupil = pupil * inside * np.exp(-1j * np.pi * wavelength * distance * f**2)
    return _normalised_focus(pupil)


def _soft(inside: NDArray[np.float64], width: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(inside / width + 0.5, 0, 1)


def _normalised_focus(pupil: Wave) -> Wave:
    focus = fft.fftshift(fft.ifft2(pupil))
    return focus / np.linalg.norm(focus)


def _check_fit(
    shape: tuple[int, int],
    pixel: tuple[float, float],
    edges: tuple[float, ...],
    wavelength: float,
    defocus: tuple[float, float],
) -> None:
    for n, step, edge, distance in zip(shape, pixel, edges, defocus, strict=True):
        if not edge <= 1 / (2 * step):
            raise InputError(
                "The lens illuminates more than the detector sees",
                found=f"numerical aperture {edge * wavelength:.4g}, detector up to {wavelength / (2 * step):.4g}",
                remedy="Use a smaller object pixel (a larger or closer detector) or a wider outermost zone",
            )
        beam = 2 * edge * wavelength * abs(distance)
        if not beam <= n * step:
            raise InputError(
                "The defocused beam is wider than the array",
                found=f"beam {beam:.4g} m, array {n * step:.4g} m",
                remedy="Use a smaller defocus, smaller detector pixels or a longer distance",
            )


def probe_from_pattern(
    pattern: NDArray[Any],
    mask: NDArray[np.uint8],
    *,
    defocus: float,
    wavelength: float,
    pixel: tuple[float, float],
) -> Wave:
    """Return the probe that a mean diffraction pattern implies: its amplitude, no phase, propagated by a defocus.

    The mean over many places of the sample is, but for what the sample scatters, the pupil of the lens.

    Parameters
    ----------
    pattern : ndarray of shape (ny, nx)
        Mean diffraction pattern in counts, zero frequency at n//2.
    mask : ndarray of shape (ny, nx)
        Bad pixels: 0 good, else bad. They are filled from their neighbours.
    defocus : float
        Distance from the focus to the sample in metres, positive downstream.
    wavelength : float
        Wavelength in metres.
    pixel : tuple of float
        Object pixel (y, x) in metres.

    Returns
    -------
    ndarray of shape (ny, nx)
        The probe, its axis at index n//2; the sum of ``abs(probe)**2`` is the sum of the pattern, bad pixels filled.

    Raises
    ------
    InputError
        If no good pixel has counts.
    """
    good = mask == 0
    counts = np.where(good, pattern, 0).astype(np.float64).clip(min=0)
    if not counts.sum() > 0:
        raise InputError(
            "The mean diffraction pattern holds no counts",
            found=f"{int(good.sum())} good pixels of {good.size}, all without counts",
            remedy="Check the mask's polarity (0 good, 1 bad) and the background that was subtracted",
        )
    counts = fill(counts, good)
    bright = np.sum(counts**2) / counts.sum()
    pupil = np.sqrt(np.where(counts < BACKGROUND * bright, 0, counts))
    pupil *= np.sqrt(counts.sum()) / np.linalg.norm(pupil)
    return inverse_fraunhofer(pupil * fft.fftshift(angular_spectrum_kernel(mask.shape, defocus, wavelength, pixel)))


def fill(image: NDArray[np.float64], good: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return an image, shape (ny, nx), whose bad pixels have the mean of their good neighbours, layer by layer.

    At least one pixel must be good.
    """
    from scipy.ndimage import uniform_filter

    image, known = np.where(good, image, 0.0), good.astype(np.float64)
    while not known.all():
        weight = uniform_filter(known, 3, mode="constant")
        layer = (known == 0) & (weight > 0.05)
        image[layer] = uniform_filter(image, 3, mode="constant")[layer] / weight[layer]
        known[layer] = 1
    return image
