"""Implausible positions are excluded; all others are kept."""

from dataclasses import replace

import numpy as np
import pytest
from samples import small_scan

from exitwave.errors import InputError
from exitwave.positions import concentric_rings, fermat_spiral, jittered_grid, raster
from exitwave.positions.faults import find_duplicates, find_outliers, interpolate_bad
from exitwave.preparation import clean_positions

SCANS = (
    fermat_spiral(200, 1e-7),
    raster((12, 15), 2e-7),
    concentric_rings(8, 6, 2e-7),
    jittered_grid((12, 15), 2e-7, 0.5e-7, 1),
)


@pytest.mark.parametrize("positions", SCANS, ids=["fermat", "raster", "rings", "jitter"])
def test_a_scan_without_faults_has_no_outliers_and_no_duplicates(positions: np.ndarray) -> None:
    assert not find_outliers(positions[:, :2]).any()
    assert not find_duplicates(positions[:, :2]).any()


@pytest.mark.parametrize("positions", SCANS, ids=["fermat", "raster", "rings", "jitter"])
def test_faulty_positions_are_excluded_and_interpolated(positions: np.ndarray) -> None:
    spoiled = positions.copy()
    spoiled[20, 0] = np.nan
    spoiled[50, :2] += 1e-4
    spoiled[90:92, :2] = -3e-5
    spoiled[121] = spoiled[120]
    scan = replace(small_scan(len(positions), probe=None, left_out={"shutter": (3,)}), positions=spoiled)
    clean = clean_positions(scan)
    assert clean.left_out == {
        "shutter": (3,),
        "position not finite": (20,),
        "position far from the scan": (50, 90, 91),
        "position of another frame": (121,),
    }
    good = np.setdiff1d(np.arange(len(positions)), [20, 50, 90, 91, 121])
    np.testing.assert_array_equal(clean.positions[good], positions[good])
    np.testing.assert_allclose(clean.positions[50], (positions[49] + positions[51]) / 2)
    assert (np.ptp(clean.positions, axis=0) <= np.ptp(positions, axis=0) + 1e-15).all()
    assert clean.preparation[-1].settings["left_out"]["position not finite"] == (20,)


def test_separate_islands_and_a_repeated_scan_are_no_faults() -> None:
    islands = np.concatenate([SCANS[0], SCANS[0] + np.array([1e-4, 0, 0])])
    assert not find_outliers(islands[:, :2]).any()
    assert not find_duplicates(np.repeat(SCANS[0], 2, axis=0)[:, :2]).any()


def test_faulty_positions_at_the_ends_take_the_nearest_good_position() -> None:
    positions = np.arange(12.0).reshape(4, 3)
    found = interpolate_bad(positions, np.array([True, False, False, True]))
    np.testing.assert_array_equal(found, positions[[1, 1, 2, 2]])
    with pytest.raises(InputError, match="Too few"):
        clean_positions(replace(small_scan(4, 8, probe=None), positions=np.full((4, 3), np.nan)))
