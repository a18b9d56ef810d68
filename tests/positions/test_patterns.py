import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exitwave.errors import InputError
from exitwave.positions import (
    FERMAT_NEIGHBOUR,
    concentric_rings,
    fermat_spiral,
    jittered_grid,
    neighbour_distance,
    raster,
)


def specification_fermat_spiral(n_points, step_size=100e-9):
    """Generate Fermat spiral scan positions (code of the specification)."""
    golden_angle = np.pi * (3 - np.sqrt(5))
    indices = np.arange(n_points)
    radii = step_size * np.sqrt(indices)
    angles = golden_angle * indices
    x = radii * np.cos(angles)
    y = radii * np.sin(angles)
    return np.column_stack([x, y, np.zeros(n_points)])


@pytest.mark.parametrize(("n", "step"), [(1, 1e-7), (400, 1e-7), (5000, 3.3e-8)])
def test_fermat_spiral_equals_that_of_the_specification_bit_for_bit(n, step):
    assert np.array_equal(fermat_spiral(n, step), specification_fermat_spiral(n, step))
    assert np.array_equal(fermat_spiral(n), specification_fermat_spiral(n))


@pytest.mark.parametrize("n", [200, 1000, 5000])
def test_fermat_neighbour_constant_is_the_measured_one(n):
    assert neighbour_distance(fermat_spiral(n, 1.0)) == pytest.approx(FERMAT_NEIGHBOUR, rel=0.01)


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 12), st.integers(2, 12), st.floats(1e-9, 1e-6))
def test_raster_runs_along_x_and_is_centred(rows, columns, step):
    positions = raster((rows, columns), step)
    grid = positions.reshape(rows, columns, 3)
    assert np.allclose(np.diff(grid[..., 0], axis=1), step, rtol=1e-9)
    assert np.allclose(np.diff(grid[..., 1], axis=0), step, rtol=1e-9)
    assert np.abs(positions.mean(axis=0)).max() < 1e-12 * step * len(positions)
    assert not positions[:, 2].any()


def test_ring_k_has_k_times_the_points_at_k_times_the_step():
    positions = concentric_rings(4, 5, 2e-7)
    ring = np.rint(np.hypot(positions[:, 0], positions[:, 1]) / 2e-7).astype(int)
    assert np.allclose(np.hypot(positions[:, 0], positions[:, 1]), ring * 2e-7)
    assert np.bincount(ring).tolist() == [1, 5, 10, 15, 20]
    assert neighbour_distance(positions) > 1.9e-7


def test_jitter_is_within_its_amplitude_and_reproducible_by_its_seed():
    grid = raster((20, 30), 1e-7)
    shift = jittered_grid((20, 30), 1e-7, 3e-8, seed=4) - grid
    assert 2.8e-8 < np.abs(shift[:, :2]).max() <= 3e-8
    assert not shift[:, 2].any()
    assert np.array_equal(jittered_grid((20, 30), 1e-7, 3e-8, seed=4), jittered_grid((20, 30), 1e-7, 3e-8, seed=4))
    assert not np.allclose(shift, jittered_grid((20, 30), 1e-7, 3e-8, seed=5) - grid)
    assert np.array_equal(jittered_grid((20, 30), 1e-7, 0.0, seed=4), grid)


@pytest.mark.parametrize(
    "make",
    [
        lambda: raster((0, 3), 1e-7),
        lambda: raster((3, 3), 0.0),
        lambda: fermat_spiral(0),
        lambda: fermat_spiral(10, -1e-7),
        lambda: concentric_rings(-1, 6, 1e-7),
        lambda: jittered_grid((3, 3), 1e-7, -1e-9),
    ],
)
def test_impossible_patterns_are_refused(make):
    with pytest.raises(InputError, match="scan pattern"):
        make()
