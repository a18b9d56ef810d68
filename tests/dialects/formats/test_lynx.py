"""LYNX: columns, signs and units of its text file, and bad pixels by their counts."""

from pathlib import Path

import numpy as np
import pytest
from beamline_files import lynx, lynx_rows

import exitwave
from exitwave.errors import InputError
from exitwave.scan import Scan


def _open(file: Path, **settings: str) -> Scan:
    scan = exitwave.open(file, **settings)
    assert isinstance(scan, Scan)
    return scan


def test_both_axes_are_negated_and_gaps_masked(tmp_path: Path) -> None:
    scan = _open(lynx(tmp_path), distance="1.9m")
    assert scan.positions[:, :2] == pytest.approx(-1e-6 * lynx_rows()[:, [3, 6]])
    assert scan.energy == pytest.approx(8800)
    assert scan.detector.saturation == 19998
    assert np.flatnonzero(scan.detector.mask.any(axis=1)).tolist() == [2, 3]
    assert scan.detector.corner_position == pytest.approx([6 * 75e-6, 4 * 75e-6, 1.9])


def test_missing_distance_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--set distance=2m"):
        _open(lynx(tmp_path))
