"""Probes: the wave of a lens at the sample, computed from the parameters of the lens or from the mean pattern.

In the far field of its focus a lens is a pupil: the wave at the angle (lambda f) is the transmission of the pupil at f.
The wave in the focus is the Fourier transform of the pupil. The probe is this wave, propagated by the defocus.
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
"""Mean patterns below this share of the bright-field intensity are scattering by the sample, not the pupil."""


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

    The focal length is diameter * outermost_zone / wavelength. The pupil is the ring of spatial frequencies from
    (central_stop / diameter) / (2 outermost_zone) to 1 / (2 outermost_zone).

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
        The probe with the optical axis at index n//2; the sum of ``abs(probe)**2`` is 1.

    Raises
    ------
    InputError
        If the pupil exceeds the sampled frequencies, the beam exceeds the array, or the stop covers the lens.
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
    # width of a frequency pixel along the radius; the edge of the pupil falls from 1 to 0 over it
    width = np.hypot(fy / (shape[0] * pixel[0]), fx / (shape[1] * pixel[1])) / np.maximum(radius, 1e-300)
    width[0, 0] = np.sqrt(width[0, 1] * width[1, 0])
    pupil = _soft_edge(edge - radius, width)
    if central_stop > 0:
        pupil = pupil - _soft_edge(edge * central_stop / diameter - radius, width)
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
    """Return the probe of a rectangular lens: a pair of Kirkpatrick-Baez mirrors, or a lens behind slits.

    The axes focus independently, so their foci may be at different distances (astigmatism).

    Parameters
    ----------
    shape : tuple of int
        Shape (ny, nx) of the probe.
    pixel : tuple of float
        Object pixel (y, x) in metres.
    wavelength : float
        Wavelength in metres.
    aperture, focal_length : tuple of float
        Aperture of the lens and distance from the lens to the focus (y, x) in metres.
    defocus : float or tuple of float
        Distance from the focus to the sample (y, x) in metres, positive downstream (paraxial propagation).

    Returns
    -------
    ndarray of shape (ny, nx)
        The probe with the optical axis at index n//2; the sum of ``abs(probe)**2`` is 1.

    Raises
    ------
    InputError
        If the pupil exceeds the sampled frequencies, or the beam exceeds the array.
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


def _soft_edge(inside: NDArray[np.float64], width: NDArray[np.float64]) -> NDArray[np.float64]:
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
                "The numerical aperture of the lens exceeds the angles of the detector",
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
    """Return a probe from the mean pattern: its amplitude without phase is the pupil, propagated by a defocus.

    The mean pattern over many positions is the intensity in the pupil of the lens, except for scattering by the sample.

    Parameters
    ----------
    pattern : ndarray of shape (ny, nx)
        Mean pattern in counts, zero frequency at n//2.
    mask : ndarray of shape (ny, nx)
        Bad pixels: 0 good, other values bad. Bad pixels are filled from their neighbours.
    defocus : float
        Distance from the focus to the sample in metres, positive downstream.
    wavelength : float
        Wavelength in metres.
    pixel : tuple of float
        Object pixel (y, x) in metres.

    Returns
    -------
    ndarray of shape (ny, nx)
        The probe with the optical axis at index n//2; the sum of ``abs(probe)**2`` is that of the filled pattern.

    Raises
    ------
    InputError
        If no good pixel has counts.
    """
    good = mask == 0
    counts = np.where(good, pattern, 0).astype(np.float64).clip(min=0)
    if not counts.sum() > 0:
        raise InputError(
            "The mean pattern has no counts",
            found=f"{int(good.sum())} good pixels of {good.size}, all without counts",
            remedy="Check the polarity of the mask (0 good, 1 bad) and the background that was subtracted",
        )
    counts = fill_bad_pixels(counts, good)
    bright = np.sum(counts**2) / counts.sum()
    pupil = np.sqrt(np.where(counts < BACKGROUND * bright, 0, counts))
    pupil *= np.sqrt(counts.sum()) / np.linalg.norm(pupil)
    return inverse_fraunhofer(pupil * fft.fftshift(angular_spectrum_kernel(mask.shape, defocus, wavelength, pixel)))


def fill_bad_pixels(image: NDArray[np.float64], good: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return an image, shape (ny, nx), with bad pixels replaced by the mean of good neighbours, layer by layer inwards.

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
