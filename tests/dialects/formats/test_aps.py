"""Velociprobe and LYNX: the columns, signs and units of their texts, and frames matched by trigger."""

from pathlib import Path

import numpy as np
import pytest
from beamline_files import lynx, lynx_rows, text, velociprobe, velociprobe_rows

import exitwave
from exitwave.errors import InputError
from exitwave.scan import Scan

CHI = 30.0


def _open(file: Path, **settings: str) -> Scan:
    scan = exitwave.open(file, **settings)
    assert isinstance(scan, Scan)
    return scan


def test_velociprobe_averages_the_ends_of_a_trigger(tmp_path: Path) -> None:
    master, rows = velociprobe(tmp_path, chi=CHI), velociprobe_rows().astype(float)
    x, y = rows[:, 1].reshape(9, 4), -rows[:, 5].reshape(9, 4)
    x, y = (x[:, 0] + x[:, -1]) / 2, (y[:, 0] + y[:, -1]) / 2
    scan = _open(master)
    assert "velociprobe" in scan.findings[0].found
    assert scan.positions[:, 0] == pytest.approx((x - x.mean()) * 1e-9 * np.cos(np.radians(CHI)), abs=1e-15)
    assert scan.positions[:, 1] == pytest.approx((y - y.mean()) * 1e-9, abs=1e-15)
    laser = rows[:, 2].reshape(9, 4)
    laser = (laser[:, 0] + laser[:, -1]) / 2
    assert _open(master, vertical="laser").positions[:, 1] == pytest.approx((laser - laser.mean()) * 1e-9, abs=1e-15)


def test_a_lost_trigger_leaves_its_frame_out(tmp_path: Path) -> None:
    rows = velociprobe_rows()
    scan = _open(velociprobe(tmp_path, rows[rows[:, 7] != 8]), dialect="velociprobe")
    assert scan.left_out == {"position not finite": (3,)}
    assert len(scan.patterns) == 9


def test_the_text_tells_whose_master_it_is(tmp_path: Path) -> None:
    master = velociprobe(tmp_path)
    assert "velociprobe" in _open(master).findings[0].found
    text(tmp_path / "scan.csv", lynx_rows()[:, 1:3])
    assert "eiger" in _open(master, positions="um").findings[0].found


@pytest.mark.parametrize("chosen", [slice(None, None, -1), slice(0, 0)])
def test_triggers_that_make_no_sense_are_refused(tmp_path: Path, chosen: slice) -> None:
    master = velociprobe(tmp_path, velociprobe_rows()[chosen])
    with pytest.raises(InputError, match=r"trigger numbers decrease|not a table"):
        _open(master, dialect="velociprobe")


def test_lynx_negates_both_and_masks_the_gaps(tmp_path: Path) -> None:
    scan = _open(lynx(tmp_path), distance="1.9m")
    assert scan.positions[:, :2] == pytest.approx(-1e-6 * lynx_rows()[:, [3, 6]])
    assert scan.energy == pytest.approx(8800)
    assert scan.detector.saturation == 19998
    assert np.flatnonzero(scan.detector.mask.any(axis=1)).tolist() == [2, 3]
    assert scan.detector.corner_position == pytest.approx([6 * 75e-6, 4 * 75e-6, 1.9])


def test_lynx_asks_for_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--set distance=2m"):
        _open(lynx(tmp_path))
