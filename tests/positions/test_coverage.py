import numpy as np
import pytest

from exitwave.errors import InputError
from exitwave.positions import (
    coverage,
    fermat_spiral,
    linear_overlap,
    neighbour_distance,
    object_grid,
    raster,
    step_for_overlap,
)


@pytest.mark.parametrize("overlap", [0.0, 0.6, 0.75])
def test_step_for_overlap_gives_that_overlap(overlap):
    positions = raster((6, 7), step_for_overlap(overlap, 1e-6))
    assert linear_overlap(positions, 1e-6) == pytest.approx(overlap, abs=1e-9)


def test_overlap_is_not_negative_and_does_not_depend_on_order_or_origin():
    positions = fermat_spiral(100, 1e-7)
    assert linear_overlap(positions, 1e-9) == 0.0
    moved = positions[np.random.default_rng(0).permutation(100)] + [3e-6, -2e-6, 5e-3]
    assert linear_overlap(moved, 5e-7) == pytest.approx(linear_overlap(positions, 5e-7), rel=1e-9)


def test_overlap_needs_neighbours_and_a_fraction():
    with pytest.raises(InputError, match="two positions"):
        neighbour_distance(np.zeros((1, 3)))
    with pytest.raises(InputError, match="overlap"):
        step_for_overlap(1.0, 1e-6)


def test_coverage_sums_the_power_of_all_modes_over_all_positions():
    rng = np.random.default_rng(0)
    probe = rng.normal(size=(2, 12, 16)) + 1j * rng.normal(size=(2, 12, 16))
    positions = fermat_spiral(37, 2e-8)
    y, x, probe_density = coverage(positions, probe, (1e-8, 2e-8))
    assert probe_density.shape == (y.size, x.size)
    assert probe_density.sum() == pytest.approx(37 * np.sum(np.abs(probe) ** 2), rel=1e-12)


def test_the_centre_of_the_probe_is_at_the_position():
    probe = np.zeros((11, 14), complex)
    probe[11 // 2, 14 // 2] = 3.0
    pixel = (1e-8, 2e-8)
    positions = np.array([[0.0, 0.0, 0.0], [8e-8, 3e-8, 0.0], [8e-8, 3e-8, 0.0]])
    y, x, probe_density = coverage(positions, probe, pixel)
    grid_y, grid_x = object_grid(positions, (11, 14), pixel)
    assert np.array_equal(y, grid_y)
    assert np.array_equal(x, grid_x)
    rows, columns = np.nonzero(probe_density)
    assert np.allclose(np.column_stack([x[columns], y[rows]]), [[0, 0], [8e-8, 3e-8]], atol=1e-12)
    assert probe_density[rows, columns].tolist() == [9.0, 18.0]
