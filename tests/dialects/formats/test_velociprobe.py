"""Velociprobe: columns, signs and units of its text file, and frames matched with positions by trigger."""

from pathlib import Path

import numpy as np
import pytest
from beamline_files import POSITIONS, text, velociprobe, velociprobe_rows

import exitwave
from exitwave.errors import InputError
from exitwave.scan import Scan

CHI = 30.0


def _open(file: Path, **settings: str) -> Scan:
    scan = exitwave.open(file, **settings)
    assert isinstance(scan, Scan)
    return scan


def test_position_of_a_trigger_is_the_mean_of_its_first_and_last_row(tmp_path: Path) -> None:
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


def test_frame_of_a_lost_trigger_is_left_out(tmp_path: Path) -> None:
    rows = velociprobe_rows()
    scan = _open(velociprobe(tmp_path, rows[rows[:, 7] != 8]), dialect="velociprobe")
    assert scan.left_out == {"position not finite": (3,)}
    assert len(scan.patterns) == 9


def test_text_file_distinguishes_velociprobe_from_eiger(tmp_path: Path) -> None:
    master = velociprobe(tmp_path)
    assert "velociprobe" in _open(master).findings[0].found
    text(tmp_path / "scan.csv", POSITIONS)
    assert "eiger" in _open(master, positions="um").findings[0].found


@pytest.mark.parametrize("chosen", [slice(None, None, -1), slice(0, 0)])
def test_decreasing_or_missing_triggers_are_refused(tmp_path: Path, chosen: slice) -> None:
    master = velociprobe(tmp_path, velociprobe_rows()[chosen])
    with pytest.raises(InputError, match=r"trigger numbers decrease|not a table"):
        _open(master, dialect="velociprobe")
