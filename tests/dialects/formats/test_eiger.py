"""Eiger master files: frames in linked files, bad pixels by bits and by counts, positions in a text file."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from beamline_files import COUNTS, GAP, SHAPE, eiger, text
from samples import small_result

import exitwave
from exitwave.dialects.dialect import Settings
from exitwave.errors import InputError
from exitwave.frames import MissingFrames, View
from exitwave.preparation.view import apply_view
from exitwave.scan import Result, Scan

POSITIONS = np.random.default_rng(4).normal(size=(9, 2)) * 2


def _open(master: Path, **settings: str) -> Scan:
    chosen: Settings = {"positions": "um"} | settings
    scan = exitwave.open(master, **chosen)
    assert isinstance(scan, Scan)
    return scan


def _counts(dtype: str = "u4") -> np.ndarray:
    counts = COUNTS.copy()
    counts[:, *GAP] = np.iinfo(dtype).max
    return counts


def test_master_is_read_in_si_units(tmp_path: Path) -> None:
    text(tmp_path / "scan.csv", POSITIONS, "x,y\n")
    scan = _open(eiger(tmp_path))
    assert scan.energy == 8800
    assert scan.detector.distance == 2
    assert scan.detector.pixel_size == pytest.approx((75e-6, 75e-6))
    assert scan.positions[:, :2] == pytest.approx(POSITIONS * 1e-6)
    assert scan.detector.corner_position == pytest.approx([6.5 * 75e-6, 4 * 75e-6, 2])
    assert [each.code for each in scan.findings] == ["I307"]


def test_frames_are_those_of_all_files_in_order(tmp_path: Path) -> None:
    text(tmp_path / "scan.csv", POSITIONS)
    frames, counts = _open(eiger(tmp_path)).patterns, _counts()
    assert frames.shape == counts.shape
    assert frames.dtype == np.uint32
    for index in (slice(None), 4, -1, slice(2, 8, 2), (slice(1, 7), 3), [8, 0, 4], np.s_[..., 2:5]):
        assert np.array_equal(frames[index], counts[index])
    assert np.array_equal(np.concatenate([block for _, block in frames.blocks(4)]), counts)
    assert np.array_equal(np.array(list(frames.pick([7, 2]))), counts[[7, 2]])


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
def test_pixels_are_bad_by_bits_and_by_the_largest_count_of_the_type(tmp_path: Path, dtype: str) -> None:
    text(tmp_path / "scan.csv", POSITIONS)
    master = eiger(tmp_path, dtype=dtype)
    mask = _open(master).detector.mask
    expected = np.zeros(SHAPE, np.uint8)
    expected[GAP], expected[0, 0] = 1, 1  # bit 31, a virtual pixel, is not a defect
    assert np.array_equal(mask, expected)
    with h5py.File(master, "r+") as file:
        del file["entry/instrument/detector/detectorSpecific/pixel_mask"]
    expected[0, 0] = 0
    scan = _open(master)
    assert np.array_equal(scan.detector.mask, expected)
    assert scan.detector.saturation == np.iinfo(dtype).max
    assert not scan.detector.usable(scan.patterns[:].astype(np.float32))[:, *GAP].any()


def test_missing_files_at_the_end_give_a_finding(tmp_path: Path) -> None:
    text(tmp_path / "scan.csv", POSITIONS[:6])
    scan = _open(eiger(tmp_path, files=2, links=5))
    assert len(scan.patterns) == 6
    (note,) = (each for each in scan.findings if each.code == "W212")
    assert "last 3 data files, from data_000003 on, are missing" in note.found


def test_missing_file_in_the_middle_is_refused(tmp_path: Path) -> None:
    text(tmp_path / "scan.csv", POSITIONS)
    master = eiger(tmp_path)
    (tmp_path / "scan_data_000002.h5").unlink()
    with pytest.raises(InputError, match=r"in the middle of the scan is missing.*data_000002"):
        _open(master, columns="0,1")
    for file in tmp_path.glob("scan_data*"):
        file.unlink()
    with pytest.raises(InputError, match="All data files are missing"):
        _open(master)


@pytest.mark.parametrize("target", ["/etc/passwd", "../scan_data_000001.h5", "a/../../b.h5"])
def test_link_out_of_the_folder_is_refused(tmp_path: Path, target: str) -> None:
    text(tmp_path / "scan.csv", POSITIONS)
    master = eiger(tmp_path)
    with h5py.File(master, "r+") as file:
        del file["entry/data/data_000001"]
        file["entry/data/data_000001"] = h5py.ExternalLink(target, "/entry/data/data")
    with pytest.raises(InputError, match="leads out of the folder"):
        _open(master)


def test_link_through_another_file_is_refused(tmp_path: Path) -> None:
    text(tmp_path / "scan.csv", POSITIONS)
    master = eiger(tmp_path)
    (tmp_path / "scan_data_000001.h5").rename(tmp_path / "other.h5")
    with h5py.File(tmp_path / "scan_data_000001.h5", "w") as file:
        file["entry/data/data"] = h5py.ExternalLink("other.h5", "/entry/data/data")
    with pytest.raises(InputError, match="through one file to another"):
        _open(master)


def test_files_of_two_types_get_one_value_for_bad_pixels(tmp_path: Path) -> None:
    text(tmp_path / "scan.csv", POSITIONS)
    master, other = eiger(tmp_path), tmp_path / "other"
    other.mkdir()
    eiger(other, dtype="u2")
    (other / "scan_data_000002.h5").replace(tmp_path / "scan_data_000002.h5")
    scan = _open(master)
    assert np.array_equal(scan.patterns[:], _counts())


def test_columns_are_set_by_name_or_number_and_negated(tmp_path: Path) -> None:
    rows = np.column_stack([np.arange(9), POSITIONS[:, 1], np.zeros(9), POSITIONS[:, 0]])
    text(tmp_path / "stage.txt", rows, "# a scan\n# time samy z samx\n", " ")
    master = eiger(tmp_path)
    named = _open(master, positions_file="stage.txt", columns="samx,samy", negate="y")
    counted = _open(master, positions_file=str(tmp_path / "stage.txt"), columns="3, 1", negate="y")
    assert named.positions[:, :2] == pytest.approx(POSITIONS * [1e-6, -1e-6])
    assert np.array_equal(named.positions, counted.positions)
    with pytest.raises(InputError, match="Did you mean samx"):
        _open(master, positions_file="stage.txt", columns="samxx,samy")
    with pytest.raises(InputError, match="columns of x and y are not known"):
        _open(master, positions_file="stage.txt")


def test_surplus_is_refused_or_dropped(tmp_path: Path) -> None:
    text(tmp_path / "scan.csv", POSITIONS[:7])
    master = eiger(tmp_path)
    with pytest.raises(InputError, match=r"9 frames and 7 positions.*surplus=drop"):
        _open(master)
    scan = _open(master, surplus="drop")
    assert scan.patterns.shape[0] == len(scan.positions) == 7
    assert np.array_equal(scan.patterns[:], _counts()[:7])
    assert "W213" in [each.code for each in scan.findings]


@pytest.mark.parametrize("words", ["", "a,b\n", "1,2\n3\n", "1,2\nx,y\n", "\0\0\0"])
def test_text_without_a_table_is_refused(tmp_path: Path, words: str) -> None:
    (tmp_path / "scan.csv").write_text(words)
    with pytest.raises(InputError, match=r"not a table|not numbers|no row"):
        _open(eiger(tmp_path))


def test_result_links_to_the_files_and_opens_without_them(tmp_path: Path) -> None:
    text(tmp_path / "scan.csv", POSITIONS)
    scan = replace(_open(eiger(tmp_path)), probe=np.ones((1, *SHAPE), np.complex64))
    file = tmp_path / "made" / "result.cxi"
    file.parent.mkdir()
    view = View(rows=(1, 9), columns=(2, 10))
    small_result(apply_view(scan, view)).save(file)
    back = exitwave.open(file)
    assert isinstance(back, Result)
    assert np.array_equal(back.scan.patterns[:], _counts()[:, 1:9, 2:10])
    assert back.scan.patterns.dtype == np.uint32
    assert file.stat().st_size < 200_000
    (tmp_path / "scan_data_000002.h5").unlink()
    lost = exitwave.open(file)
    assert isinstance(lost, Result)
    assert isinstance(lost.scan.patterns, MissingFrames)
    assert "W211" in [each.code for each in lost.scan.findings]
    with pytest.raises(InputError, match="patterns of this result are missing"):
        lost.scan.patterns[0]
