"""Frames that the user shifts along the positions or leaves out, when a file is opened."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import small_result

import exitwave
from exitwave.analysis.frame_accounting import account_for_frames
from exitwave.cxi.frame_settings import BY_USER, NO_POSITION, Shift, format_frames, parse_frames, parse_shifts
from exitwave.errors import InputError
from exitwave.frames import Frames
from exitwave.scan import Result, Scan
from exitwave.simulation import simulate


def opened(file: Path, **settings: str) -> Scan:
    scan = exitwave.open(file, **{f"frames.{name}": text for name, text in settings.items()})
    assert isinstance(scan, Scan)
    return scan


@pytest.mark.parametrize(("by", "without"), [(1, (199,)), (2, (198, 199)), (-1, ())])
def test_frames_get_the_position_of_another_frame(by: int, without: tuple[int, ...], scan_file: Path) -> None:
    before, after = opened(scan_file), opened(scan_file, shift=f"{by}@50")
    np.testing.assert_array_equal(after.positions[:50], before.positions[:50])
    moved = np.setdiff1d(np.arange(50, 200), without)
    np.testing.assert_array_equal(after.positions[moved], before.positions[moved + by])
    assert after.left_out.get(NO_POSITION, ()) == without
    assert after.left_out["the beam was off"] == (1, 3)
    assert [each.found for each in after.findings if each.code == "I304"] == [f"frames.shift={by}@50"]


def test_several_shifts_add_up(scan_file: Path) -> None:
    before, after = opened(scan_file), opened(scan_file, shift="1@50, 1@120")
    np.testing.assert_array_equal(after.positions[50:120], before.positions[51:121])
    np.testing.assert_array_equal(after.positions[120:198], before.positions[122:200])


def test_first_frames_without_a_position_are_left_out(scan_file: Path) -> None:
    assert opened(scan_file, shift="-2@0").left_out[NO_POSITION] == (0, 1)


def test_named_frames_are_left_out(scan_file: Path) -> None:
    scan = opened(scan_file, leave_out="7,40:43")
    assert account_for_frames(scan)[BY_USER].tolist() == [7, 40, 41, 42]
    assert len(scan.used_frames) == 200 - 2 - 4


def test_a_result_contains_its_shift(scan_file: Path, tmp_path: Path) -> None:
    scan, file = opened(scan_file, shift="1@50"), tmp_path / "shifted.cxi"
    small_result(scan).save(file)
    again = exitwave.open(file)
    assert isinstance(again, Result)
    np.testing.assert_allclose(again.scan.positions, scan.positions)
    assert again.scan.left_out == scan.left_out
    same, more = (exitwave.open(file, **{"frames.shift": text}) for text in ("1@50", "1@50,-1@90"))
    np.testing.assert_array_equal(same.positions, again.positions)
    np.testing.assert_array_equal(more.positions[90:], again.positions[89:-1])
    with pytest.raises(InputError, match=r"contains another shift .* 1@50"):
        exitwave.open(file, **{"frames.shift": "2@50"})


def test_frames_that_a_result_held_out_can_be_left_out(result_file: Path) -> None:
    result = exitwave.open(result_file, **{"frames.leave_out": "17,30"})
    assert isinstance(result, Result)
    assert result.held_out.tolist() == [3]
    assert result.scan.left_out[BY_USER] == (17, 30)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("shift", "1", "Write K@N"),
        ("shift", "0@5", "Write K@N"),
        ("shift", "1@200", "frame 200.*0 to 199"),
        ("leave_out", "5-9", "Write indices and ranges"),
        ("leave_out", "9:5", "Write indices and ranges"),
        ("leave_out", "190:201", "frame 200.*0 to 199"),
        ("leave_out", "0:199", "Too few frames"),
    ],
)
def test_messages(name: str, text: str, message: str, scan_file: Path) -> None:
    with pytest.raises(InputError, match=message):
        opened(scan_file, **{name: text})


def test_texts() -> None:
    assert parse_shifts("+1@5,-2@9") == (Shift(1, 5), Shift(-2, 9))
    frames = np.array([3, 40, 41, 42, 99])
    assert format_frames(frames) == "3,40:43,99"
    assert parse_frames(format_frames(frames), 100) == tuple(frames)


def test_a_lost_trigger_is_repaired(tmp_path: Path) -> None:
    clean = simulate(detector=128, frames=50, seed=4)
    stack = clean.patterns[:]
    lost = np.concatenate([stack[:20], stack[21:], np.zeros_like(stack[:1])])
    replace(clean, patterns=Frames(lost)).save(tmp_path / "lost.cxi")
    errors = [
        exitwave.compare(exitwave.reconstruct(scan, iterations=10, algorithm="mpie", threads=1)).error
        for scan in (clean, opened(tmp_path / "lost.cxi"), opened(tmp_path / "lost.cxi", shift="1@20"))
    ]
    assert errors[1] > 3 * errors[0]
    assert errors[2] < 1.1 * errors[0]
