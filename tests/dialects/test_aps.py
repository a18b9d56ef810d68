"""Velociprobe and LYNX: the columns, signs and units of their texts, and frames matched by trigger."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from masters import COUNTS, eiger, text

import exitwave
from exitwave.errors import InputError
from exitwave.scan import Scan

CHI = 30.0
TRIGGERS = np.repeat(np.arange(5, 14), 4)
RNG = np.random.default_rng(6)


def _velociprobe(folder: Path, keep: slice = slice(None)) -> tuple[Path, np.ndarray]:
    rows = RNG.integers(-4000, 4000, (len(TRIGGERS), 8))
    rows[:, 7] = TRIGGERS
    text(folder / "scan.csv", rows[keep])
    return eiger(folder, chi=CHI), rows.astype(float)


def _open(file: Path, **settings: str) -> Scan:
    scan = exitwave.open(file, **settings)
    assert isinstance(scan, Scan)
    return scan


def test_velociprobe_averages_the_ends_of_a_trigger(tmp_path: Path) -> None:
    master, rows = _velociprobe(tmp_path)
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
    master, rows = _velociprobe(tmp_path)
    text(tmp_path / "scan.csv", rows[rows[:, 7] != 8].astype(int))
    scan = _open(master, dialect="velociprobe")
    assert scan.left_out == {"position not finite": (3,)}
    assert len(scan.patterns) == 9


def test_the_text_tells_whose_master_it_is(tmp_path: Path) -> None:
    master, _ = _velociprobe(tmp_path)
    assert "velociprobe" in _open(master).findings[0].found
    text(tmp_path / "scan.csv", RNG.normal(size=(9, 2)))
    assert "eiger" in _open(master, positions="um").findings[0].found


@pytest.mark.parametrize("chosen", [slice(None, None, -1), slice(0, 0)])
def test_triggers_that_make_no_sense_are_refused(tmp_path: Path, chosen: slice) -> None:
    master, _ = _velociprobe(tmp_path, chosen)
    with pytest.raises(InputError, match=r"do not increase|not a table"):
        _open(master, dialect="velociprobe")


def _lynx(folder: Path) -> tuple[Path, np.ndarray]:
    rows = RNG.normal(size=(9, 18))
    rows[:, 0] = np.arange(9)
    names = "DataPoint TotalPoints Target_x Average_x_st_fzp Stdev_x_st_fzp Target_y Average_y_st_fzp"
    head = f"LYNX scan, 7\n{names}{' more' * 11}\n"
    text(folder / "lynx.dat", rows, head, " ")
    counts = COUNTS.astype("u2")
    counts[:, 2], counts[:, 3], counts[0, 5, 5] = 4095, 65535, 4095
    with h5py.File(folder / "lynx.h5", "w") as file:
        stack = file.create_dataset("entry/data/eiger_4", data=counts)
        stack.attrs["Pixel_size"] = np.array([75e-6])
        stack.attrs["Count_cutoff"] = np.array([19998])
        stack.attrs["Photon_energy_kev"] = np.array([8.8])
        stack.attrs["Center_x_pixel"], stack.attrs["Center_y_pixel"] = np.array([6]), np.array([4])
    return folder / "lynx.h5", rows


def test_lynx_negates_both_and_masks_the_gaps(tmp_path: Path) -> None:
    file, rows = _lynx(tmp_path)
    scan = _open(file, distance="1.9m")
    assert scan.positions[:, :2] == pytest.approx(-1e-6 * rows[:, [3, 6]])
    assert scan.energy == pytest.approx(8800)
    assert scan.detector.saturation == 19998
    assert np.flatnonzero(scan.detector.mask.any(axis=1)).tolist() == [2, 3]
    assert scan.detector.corner_position == pytest.approx([6 * 75e-6, 4 * 75e-6, 1.9])


def test_lynx_asks_for_what_it_lacks(tmp_path: Path) -> None:
    file, _ = _lynx(tmp_path)
    with pytest.raises(InputError, match="--set distance=2m"):
        _open(file)
