"""Moves of the pattern centre: their length is found, and what is not a move is not reported."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from exitwave.analysis.diagnosis import Diagnosis, diagnose
from exitwave.analysis.diagnosis.frame_sample import sample_frames
from exitwave.analysis.diagnosis.pointing import largest_move, pattern_shifts
from exitwave.frames import Frames
from exitwave.scan import Scan
from exitwave.simulation import simulate

FRAMES = 80
TIME = np.linspace(-0.5, 0.5, FRAMES)


@pytest.fixture(scope="module")
def clean() -> Scan:
    scan = simulate(detector=128, frames=FRAMES, seed=3, specimen="texture")
    return replace(scan, patterns=Frames(scan.patterns[:]))


def moved(scan: Scan, rows: NDArray[Any]) -> Scan:
    """Return the scan with patterns that are shifted along rows, by less than a pixel more exactly than by rolling."""
    phase = np.exp(-2j * np.pi * np.fft.fftfreq(128)[:, None] * rows[:, None, None])
    stack = np.fft.ifft(np.fft.fft(scan.patterns[:], axis=1) * phase, axis=1).real
    return replace(scan, patterns=Frames(np.maximum(stack, 0).astype(np.float32)))


def found(scan: Scan) -> list[Diagnosis]:
    return [each for each in diagnose(scan) if each.code == "D421"]


def test_shifts_of_the_patterns(clean: Scan) -> None:
    everything = np.arange(FRAMES)
    before, after = (pattern_shifts(sample_frames(scan), everything) for scan in (clean, moved(clean, TIME)))
    slope = np.polyfit(TIME, after - before, 1)[0]
    assert slope == pytest.approx([1, 0], abs=0.1)
    assert before.std() < 0.3


def test_drift(clean: Scan) -> None:
    (drift,) = found(moved(clean, 2 * TIME))
    assert drift.number == pytest.approx(2, rel=0.2)
    assert "drift by" in drift.evidence
    assert found(clean) == []


def test_jump(clean: Scan) -> None:
    (jump,) = found(moved(clean, 1.5 * (np.arange(FRAMES) >= 50)))
    assert jump.number == pytest.approx(1.5, rel=0.2)
    assert "at frame 50" in jump.evidence


def test_wave(clean: Scan) -> None:
    (wave,) = found(moved(clean, np.sin(2 * np.pi * TIME)))
    assert wave.number == pytest.approx(2, rel=0.3)


def test_a_sample_with_a_curved_phase_does_not_move_the_beam() -> None:
    rng = np.random.default_rng(0)
    places = np.column_stack([np.tile(np.arange(10.0), 8), np.repeat(np.arange(8.0), 10)]) * 1e-7
    shifts = 1e6 * places + 0.05 * rng.normal(size=(FRAMES, 2))
    assert largest_move(shifts, TIME, places) is None
    assert largest_move(4 * shifts * [0, 1], TIME, places) is not None  # too large for most samples
