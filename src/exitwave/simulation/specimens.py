"""Specimens from a seed: complex transmissions with amplitude 0.6 to 1 and phase -1.2 to 0.2 rad, shape (ny, nx).

Each fills the whole field, has edges that are smooth over two pixels, and has a fine grain up to the Nyquist frequency,
so that a Fourier ring correlation has signal at every frequency. Sizes are in pixels or fractions of the field, not in
metres.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import fft

AMPLITUDES = (0.6, 1.0)
PHASES = (-1.2, 0.2)
GRAIN = 0.05
"""Root mean square of the fine grain, relative to the range of the large features."""

Map = NDArray[np.float64]


def cells(shape: tuple[int, int], seed: int = 0) -> NDArray[np.complex64]:
    """Return cells with uneven outlines on a support, with membrane, nucleus and vesicles, complex64 of ``shape``."""
    rng = np.random.default_rng(seed)
    radius = max(8.0, 0.065 * np.sqrt(shape[0] * shape[1]))
    thickness, density = np.zeros(shape), np.zeros(shape)
    for centre in _scattered_points(shape, 1.55 * radius, rng):
        _draw_cell(thickness, density, centre, radius * rng.uniform(0.7, 1.1), rng)
    cytoplasm = thickness * (1 + 0.15 * _random_field(shape, 1.5, rng))
    support = 0.06 * _random_field(shape, 1.5, rng)
    return _transmission(
        absorption=0.8 * density + 0.3 * cytoplasm + support + GRAIN * _random_field(shape, 0.3, rng),
        phase=cytoplasm + 0.25 * density + support + GRAIN * _random_field(shape, 0.3, rng),
    )


def siemens_star(shape: tuple[int, int], seed: int = 0) -> NDArray[np.complex64]:
    """Return a Siemens star of 36 metal spokes with gaps between rings, to the corners, complex64 of ``shape``."""
    rng = np.random.default_rng(seed)
    y, x = (axis - (n - 1) / 2 for axis, n in zip(np.indices(shape), shape, strict=True))
    radius = np.hypot(y, x)
    # distance in pixels to the nearest edge of a spoke, positive inside; the star has a random orientation
    angle = np.arctan2(y, x) + rng.uniform(0, 2 * np.pi)
    spokes = _soft_edge(radius * np.arcsin(np.cos(36 * angle)) / 36)
    ring = 0.1 * min(shape)
    gaps = _soft_edge(np.abs((radius + ring / 2) % ring - ring / 2) - max(1.5, 0.04 * ring))
    metal = spokes * np.where(radius > ring / 2, gaps, 1)
    height = metal * (1 + 0.04 * _random_field(shape, 1.5, rng))
    membrane = 0.05 * _random_field(shape, 1.5, rng)
    return _transmission(
        absorption=0.9 * height + membrane + GRAIN * _random_field(shape, 0.3, rng),
        phase=height + membrane + GRAIN * _random_field(shape, 0.3, rng),
    )


def texture(shape: tuple[int, int], seed: int = 0) -> NDArray[np.complex64]:
    """Return a fine random texture without edges, like a porous solid, complex64 of ``shape``."""
    rng = np.random.default_rng(seed)
    solid = np.tanh(1.5 * _random_field(shape, 1.2, rng))
    filling = np.tanh(_random_field(shape, 1.2, rng))
    return _transmission(absorption=0.5 * solid + filling, phase=solid + 0.3 * filling)


def particles(shape: tuple[int, int], seed: int = 0) -> NDArray[np.complex64]:
    """Return metal spheres of 2 to 4 pixels radius, scattered over a membrane, complex64 of ``shape``."""
    rng = np.random.default_rng(seed)
    thickness = np.zeros(shape)
    for centre in rng.uniform((0, 0), shape, (shape[0] * shape[1] // 150, 2)):
        radius = rng.uniform(2.0, 4.0)
        low = np.maximum(np.ceil(centre - radius), 0).astype(int)
        high = np.minimum(np.floor(centre + radius) + 1, shape).astype(int)
        y, x = (np.arange(a, b) - c for a, b, c in zip(low, high, centre, strict=True))
        sphere = np.sqrt(np.maximum(radius**2 - y[:, None] ** 2 - x**2, 0))
        thickness[low[0] : high[0], low[1] : high[1]] += sphere
    metal = thickness / thickness.max()
    membrane = 0.02 * _random_field(shape, 1.5, rng)
    return _transmission(
        absorption=metal + membrane + GRAIN * _random_field(shape, 0.3, rng),
        phase=metal + membrane + GRAIN * _random_field(shape, 0.3, rng),
    )


SPECIMENS: dict[str, Callable[[tuple[int, int], int], NDArray[np.complex64]]] = {
    "cells": cells,
    "star": siemens_star,
    "texture": texture,
    "particles": particles,
}
"""Specimens by the names that `simulate` accepts."""


def _transmission(absorption: Map, phase: Map) -> NDArray[np.complex64]:
    """Return the transmission: both maps scaled to the allowed ranges (larger: darker, and a more negative phase)."""
    amplitude = AMPLITUDES[1] - np.ptp(AMPLITUDES) * _unit(absorption)
    return (amplitude * np.exp(1j * (PHASES[1] - np.ptp(PHASES) * _unit(phase)))).astype(np.complex64)


def _unit(image: Map) -> Map:
    """Return a map scaled to 0 to 1."""
    return (image - image.min()) / max(np.ptp(image), 1e-12)


def _soft_edge(distance: Map) -> Map:
    """Return a smooth edge, 0 to 1 over two pixels, from the signed distance to it in pixels."""
    t = np.clip(distance / 2 + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def _random_field(shape: tuple[int, int], exponent: float, rng: np.random.Generator) -> Map:
    """Return a random field of unit variance, amplitude spectrum f^-exponent up to the Nyquist circle, 0 beyond it."""
    f = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :])
    spectrum = np.where((f > 0) & (f <= 0.5), np.maximum(f, 1 / max(shape)) ** -exponent, 0)
    field = fft.irfft2(fft.rfft2(rng.standard_normal(shape)) * spectrum, s=shape)
    return np.asarray(field / field.std())


def _scattered_points(shape: tuple[int, int], distance: float, rng: np.random.Generator) -> Map:
    """Return random points (y, x), shape (n, 2), at least a distance apart, from 30 candidates for each point."""
    candidates = rng.uniform((0, 0), shape, (30 * max(1, int(shape[0] * shape[1] / distance**2)), 2))
    points = candidates[:1]
    for point in candidates[1:]:
        if np.sum((points - point) ** 2, axis=1).min() > distance**2:
            points = np.vstack([points, point])
    return points


def _blob(shape: tuple[int, int], centre: Map, radius: float, wobble: float, rng: np.random.Generator) -> Map:
    """Return the signed distance in pixels to an uneven, elongated outline, positive inside."""
    y, x = (axis - c for axis, c in zip(np.indices(shape), centre, strict=True))
    angle = np.arctan2(y, x)
    waves = sum(rng.normal(0, wobble / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in range(2, 7))
    return radius * (1 + waves) - np.hypot(y, x)


def _draw_cell(thickness: Map, density: Map, centre: Map, radius: float, rng: np.random.Generator) -> None:
    """Add a cell to the maps of thickness and of dense matter, in place."""
    reach = 1.7 * radius
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach), thickness.shape).astype(int)
    window = (slice(low[0], high[0]), slice(low[1], high[1]))
    shape, middle = (int(high[0] - low[0]), int(high[1] - low[1])), centre - low
    outline = _blob(shape, middle, radius, 0.16, rng)
    inside = _soft_edge(outline)
    dome = np.sqrt(np.clip(outline / radius, 0, 1))
    thickness[window] = np.maximum(thickness[window], inside * (0.7 + 0.4 * dome))
    density[window] += 0.3 * inside * _soft_edge(2.0 - np.abs(outline - 2.0))
    nucleus = _blob(shape, middle + rng.uniform(-0.2, 0.2, 2) * radius, 0.33 * radius, 0.06, rng)
    density[window] += inside * (0.35 * _soft_edge(nucleus) + 0.25 * _soft_edge(1.5 - np.abs(nucleus - 1.0)))
    density[window] += 0.4 * inside * _soft_edge(nucleus - 0.2 * radius)
    y, x = np.indices(shape)
    for _ in range(rng.integers(8, 16)):
        row, column = middle + rng.normal(0, 0.45 * radius, 2)
        vesicle = radius * rng.uniform(0.03, 0.1) - np.hypot(y - row, x - column)
        density[window] += inside * rng.choice([0.45, -0.2]) * _soft_edge(vesicle) * _soft_edge(-nucleus)
