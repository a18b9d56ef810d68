"""Frames that cannot be read are left out and named, by every reader of patterns; too many of them are refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from samples import small_result, small_scan
from typer.testing import CliRunner

import exitwave
from exitwave.analysis.frame_accounting import account_for_frames
from exitwave.cli import app
from exitwave.cxi.schema import path
from exitwave.errors import InputError
from exitwave.frames import Frames, View, ViewedFrames, valid_counts
from exitwave.frames.linked import LinkedFrames
from exitwave.frames.reordered import ReorderedFrames
from exitwave.scan import UNREADABLE, Scan, with_unreadable_frames

LOST = (4, 11)


def break_frames(file: Path, frames: tuple[int, ...], dataset: str = path("frames")) -> Path:
    """Overwrite the compressed data of some frames, each of which is one chunk."""
    with h5py.File(file, "r") as opened:
        stack = opened[dataset].id
        places = [stack.get_chunk_info_by_coord((frame, *[0] * (stack.rank - 1))) for frame in frames]
    with open(file, "r+b") as opened:
        for place in places:
            opened.seek(place.byte_offset)
            opened.write(b"\xff" * min(place.size, 64))
    return file


@pytest.fixture
def scan() -> Scan:
    return small_scan(40, 24)


@pytest.fixture
def broken(scan: Scan, tmp_path: Path) -> Path:
    scan.save(tmp_path / "scan.cxi")
    return break_frames(tmp_path / "scan.cxi", LOST)


def stack_file(file: Path, counts: Any) -> Path:
    with h5py.File(file, "w") as opened:
        opened.create_dataset("data", data=counts, chunks=(1, *counts.shape[1:]), compression="gzip")
    return file


INDICES = (4, slice(None), slice(3, 6), np.array([1, 4, 30]), (slice(2, 8), 3), (4, slice(2, 5)), (..., 2))


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i4", "i8", "f4", "f8"])
def test_a_damaged_frame_has_no_valid_count_and_the_others_are_unchanged(dtype: str, tmp_path: Path) -> None:
    counts = np.random.default_rng(0).poisson(20, (40, 6, 5)).astype(dtype)
    frames = Frames(break_frames(stack_file(tmp_path / "stack.h5", counts), LOST, "data"), "data")
    good = np.setdiff1d(np.arange(40), LOST)
    for index in INDICES:
        part = frames[index]
        valid = valid_counts(part)
        assert part.shape == counts[index].shape
        assert part.dtype == counts.dtype
        np.testing.assert_array_equal(part[valid], counts[index][valid])
        expected = np.zeros(counts.shape, bool)
        expected[good] = True
        np.testing.assert_array_equal(valid, expected[index])
    assert frames.damaged.tolist() == list(LOST)


@pytest.mark.parametrize("binning", [1, 2])
def test_views_of_a_damaged_frame_have_no_valid_count(binning: int, tmp_path: Path) -> None:
    counts = np.random.default_rng(0).poisson(20, (40, 6, 6)).astype("u2")
    frames = Frames(break_frames(stack_file(tmp_path / "stack.h5", counts), LOST, "data"), "data")
    view = ViewedFrames(frames, View(flip_rows=True, bin=binning))
    for index in (slice(None), 4, np.array([3, 4])):
        numbers = np.arange(40)[index]
        valid = valid_counts(view[index])
        np.testing.assert_array_equal(valid, np.broadcast_to(~np.isin(numbers, LOST)[..., None, None], valid.shape))
    assert view.damaged.tolist() == list(LOST)


def test_frames_of_several_files_and_of_rasters_are_left_out_one_by_one(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).poisson(20, (40, 6, 6)).astype("u2")
    first = break_frames(stack_file(tmp_path / "a.h5", counts[:20]), (4,), "data")
    second = break_frames(stack_file(tmp_path / "b.h5", counts[20:].astype("u4")), (9,), "data")
    linked = LinkedFrames([Frames(first, "data"), Frames(second, "data")])
    raster = stack_file(tmp_path / "raster.h5", counts.reshape(8, 5, 6, 6))
    with h5py.File(raster, "r+") as file:
        del file["data"]
        file.create_dataset("data", data=counts.reshape(8, 5, 6, 6), chunks=(1, 1, 6, 6), compression="gzip")
    with h5py.File(raster, "r") as file:
        places = [file["data"].id.get_chunk_info_by_coord((n // 5, n % 5, 0, 0)).byte_offset for n in (4, 29)]
    with open(raster, "r+b") as opened:
        for place in places:
            opened.seek(place)
            opened.write(b"\xff" * 16)
    for frames in (linked, ReorderedFrames(raster, "data", ("frame", "frame", "y", "x"))):
        whole = frames[:]
        good = np.setdiff1d(np.arange(40), (4, 29))
        assert frames.damaged.tolist() == [4, 29]
        np.testing.assert_array_equal(whole[good], counts[good])
        assert not valid_counts(whole[[4, 29]]).any()


def test_too_many_unreadable_frames_are_refused_with_their_names(scan: Scan, tmp_path: Path) -> None:
    scan.save(tmp_path / "scan.cxi")
    opened = exitwave.open(break_frames(tmp_path / "scan.cxi", (1, 2, 3, 4, 5)))
    with pytest.raises(InputError, match=r"frame 1, 2, 3, 4, 5 of 40; at most 10% may be unreadable"):
        opened.patterns[:]  # type: ignore[union-attr]


def test_a_single_unreadable_frame_is_refused_on_request(broken: Path) -> None:
    opened = exitwave.open(broken, **{"frames.damaged": "refuse"})
    assert isinstance(opened, Scan)
    assert opened.patterns[5].shape == (24, 24)
    with pytest.raises(InputError, match="frame 4 of 40"):
        opened.patterns[:]
    with pytest.raises(InputError, match="refuse or leave-out"):
        exitwave.open(broken, **{"frames.damaged": "never"})


def test_the_ledger_names_frames_once_they_have_been_found(broken: Path) -> None:
    opened = exitwave.open(broken)
    assert isinstance(opened, Scan)
    assert UNREADABLE not in account_for_frames(opened)
    opened.patterns[:]
    assert account_for_frames(opened)[UNREADABLE].tolist() == list(LOST)
    noted = with_unreadable_frames(opened)
    assert [finding.code for finding in noted.findings] == ["W237"]
    assert "2 of 40 frames cannot be read (4, 11)" in noted.findings[0].found
    assert with_unreadable_frames(noted) is noted


def test_preparation_and_saving_keep_the_ledger(broken: Path, tmp_path: Path) -> None:
    opened = exitwave.open(broken)
    assert isinstance(opened, Scan)
    prepared = exitwave.prepare(opened, crop=None)
    assert prepared.left_out[UNREADABLE] == LOST
    for name, data in (("prepared.cxi", prepared), ("copied.cxi", exitwave.open(broken))):
        data.save(tmp_path / name)
        copy = exitwave.open(tmp_path / name)
        assert isinstance(copy, Scan)
        assert copy.left_out[UNREADABLE] == LOST
        assert not valid_counts(copy.patterns[np.array(LOST)]).any()
        assert len(copy.patterns.damaged) == 0


def test_arrays_for_other_programs_lack_the_frames(broken: Path) -> None:
    opened = exitwave.open(broken)
    assert isinstance(opened, Scan)
    arrays = exitwave.to_tike(opened)
    left = len(opened.used_frames) - 2
    assert len(arrays["data"]) == len(arrays["scan"]) == left
    assert np.isfinite(arrays["data"]).all()


def test_a_reconstruction_leaves_them_out_and_says_so(broken: Path, scan: Scan, tmp_path: Path) -> None:
    opened = exitwave.open(broken)
    last = list(exitwave.iterate(opened, iterations=2, threads=1))[-1]
    assert [finding.code for finding in last.findings].count("W237") == 1
    result = last.result()
    assert result.scan.left_out[UNREADABLE] == LOST
    assert np.isfinite(result.object).all()
    without = small_scan(40, 24, left_out=scan.left_out | {"damaged": LOST})
    same = exitwave.reconstruct(without, iterations=2, threads=1)
    np.testing.assert_array_equal(result.object, same.object)


VERBS = (
    ("inspect", "scan.cxi"),
    ("plot", "scan.cxi", "-o", "figures"),
    ("report", "scan.cxi", "-o", "report.html"),
    ("prepare", "scan.cxi", "prepared.cxi"),
    ("convert", "scan.cxi", "copy.cxi", "--to", "seed"),
    ("convert", "scan.cxi", "copy.npz", "--to", "npz"),
    ("reconstruct", "scan.cxi", "-o", "result.cxi", "--iterations", "1", "--threads", "1"),
    ("report", "result_of.cxi", "-o", "report.html"),
    ("inspect", "result_of.cxi"),
    ("compare", "result_of.cxi", "result_of.cxi"),
)


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_every_verb_goes_on(words: tuple[str, ...], broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(broken.parent)
    result = small_result(exitwave.open(broken))  # type: ignore[arg-type]
    replace(result, mask=np.ones_like(result.mask)).save("result_of.cxi")
    run = CliRunner().invoke(app, list(words))
    assert run.exit_code == 0, run.output
    told = Path("report.html").read_text(encoding="utf-8") if words[0] == "report" else run.output
    assert ("2 of 40 frames cannot be read (4, 11)" in told) == (words[0] != "compare")
