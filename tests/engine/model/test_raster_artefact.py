"""Artefact of a raster scan: detection of the lattice, and suppression without damage to the object."""

import dataclasses

import numpy as np
import pytest

import exitwave
from exitwave.engine.model import raster_artefact
from exitwave.positions import concentric_rings, fermat_spiral, jittered_grid
from exitwave.positions.grid import to_pixels
from exitwave.simulation import simulate


def lattice(a, b, n=8):
    """Return n x n positions on a lattice with the periods a and b."""
    return np.indices((n, n)).reshape(2, -1).T @ np.array([a, b], float)


@pytest.mark.parametrize(("a", "b"), [((7, 0), (0, 9)), ((0, 11.5), (12.5, 0)), ((6, 1), (-1.2, 8)), ((8, 0), (4, 7))])
def test_the_periods_of_a_lattice_are_found(a, b):
    positions = lattice(a, b) + np.random.default_rng(0).normal(0, 0.1, (64, 2))
    periods = raster_artefact.find_periods(np.random.default_rng(1).permutation(positions))
    # the lattice is the same if each pair of periods is an integer combination of the other
    numbers = np.linalg.solve(periods.T, np.transpose([a, b]))
    assert np.allclose(np.rint(numbers), numbers, atol=0.03)
    assert np.isclose(abs(np.linalg.det(periods)), abs(np.linalg.det([a, b])), rtol=0.02)


def test_no_lattice_is_found_in_other_scans():
    scans = fermat_spiral(100, 1.0), concentric_rings(6, 6, 1.0), jittered_grid((10, 10), 1.0, 0.25, 0)
    for positions in [*scans, np.zeros((20, 3)), np.outer(np.arange(20), [1, 0, 0])]:
        assert raster_artefact.find_periods(8 * positions[:, :2]) is None
    assert raster_artefact.find_periods(lattice((7, 0), (0, 9), 2)) is None


def test_only_a_periodic_pattern_is_suppressed():
    rng = np.random.default_rng(0)
    spectrum = np.fft.fft2(rng.standard_normal((150, 170)))
    frequency = np.hypot(np.fft.fftfreq(150)[:, None], np.fft.fftfreq(170))
    obj = 1 + 0.2 * np.fft.ifft2(spectrum * np.exp(-((frequency / 0.1) ** 2)))
    positions = lattice((9, 0), (0, 10), 12) + 20
    r, c = np.indices(obj.shape)
    pattern = 1 + 0.3 * np.cos(2 * np.pi * r / 9) * np.cos(2 * np.pi * c / 10)
    periods = raster_artefact.find_periods(positions)
    cleaned = raster_artefact.suppress(obj * pattern, periods, positions)
    assert np.linalg.norm(cleaned - obj) < 0.4 * np.linalg.norm(obj * pattern - obj)
    assert np.linalg.norm(raster_artefact.suppress(obj, periods, positions) - obj) < 0.005 * np.linalg.norm(obj)
    assert np.isclose(cleaned.mean(), (obj * pattern).mean())


def artefact(obj, periods, positions):
    """Return the power of the object at the reciprocal lattice, over the scanned field."""
    (top, left), (bottom, right) = positions.min(0).astype(int), positions.max(0).astype(int)
    window = np.hanning(bottom - top)[:, None] * np.hanning(right - left)
    field = window * (obj[top:bottom, left:right] - obj[top:bottom, left:right].mean())
    r, c = np.indices(field.shape)
    points = raster_artefact.reciprocal_lattice(periods, obj.shape)
    near = points[np.linalg.norm(points, axis=1) < 0.15]
    return sum(abs((field * np.exp(-2j * np.pi * (g[0] * r + g[1] * c))).sum()) ** 2 for g in near)


def test_the_artefact_of_a_raster_scan_decreases_and_the_object_improves():
    scan = simulate(detector=128, frames=49, photons=1e6, seed=3, scan="raster")
    positions = to_pixels(scan.positions, scan.truth.y, scan.truth.x)
    periods = raster_artefact.find_periods(positions)
    r, c = np.indices(scan.probe.shape[1:])
    (a, b), (d, e) = 2 * np.pi * np.linalg.inv(periods).T
    pattern = 1 + 0.3 * np.cos(a * r + b * c) + 0.3 * np.cos(d * r + e * c)
    # a factor of the probe with the periods of the scan is not distinguishable from one of the object
    start = dataclasses.replace(scan, probe=(scan.probe / pattern).astype(np.complex64))
    results = [
        exitwave.reconstruct(start, algorithm="rPIE", iterations=10, threads=1, object_constraints=constraint)
        for constraint in (None, {"grid_artefact": True})
    ]
    excess = [artefact(r.object, periods, positions) - artefact(scan.truth.object, periods, positions) for r in results]
    errors = [exitwave.compare(result).error for result in results]
    assert excess[1] < 0.5 * excess[0]
    assert errors[1] < 0.9 * errors[0]
