"""The background: from a dark frame, or estimated without the signal; in the model, or subtracted."""

from dataclasses import replace

import numpy as np
import pytest
from samples import small_scan

from exitwave.errors import InputError
from exitwave.frames import Frames
from exitwave.preparation import find_floor, set_background, survey_frames
from exitwave.simulation import simulate


@pytest.mark.parametrize("preset", ["26-ID", "2-ID-D"])
@pytest.mark.parametrize("level", [0.0, 0.3])
def test_an_estimate_is_not_above_the_true_background(preset: str, level: float) -> None:
    scan = simulate(preset, frames=60, detector=192, photons=1e6, dark=0.1, background=level, seed=3)
    floor = find_floor(survey_frames(scan), scan.detector)
    assert (0.5 * level if level else 0) <= floor <= 1.02 * level


def test_the_background_becomes_the_dark_frame_and_is_recorded() -> None:
    scan = simulate(frames=60, detector=192, photons=1e6, background=0.3, seed=3)
    known = set_background(scan)
    assert known.detector.dark.mean() == pytest.approx(0.3, rel=0.5)
    assert known.patterns is scan.patterns
    decision = known.preparation[-1]
    assert (decision.heading, decision.name) == ("background", "in the model")
    assert decision.settings["floor"] == pytest.approx(float(known.detector.dark.mean()))
    assert set_background(simulate(frames=60, detector=192, photons=1e6)).detector.dark is None


def test_a_subtracted_background_leaves_no_negative_counts_and_invalid_counts_stay_invalid() -> None:
    rng = np.random.default_rng(0)
    stack = rng.poisson(3, (30, 32, 32)).astype(np.float32)
    stack[2, 3, 3], stack[2, 3, 4], stack[2, 3, 5] = np.nan, -1, 65535
    dark = np.stack([np.full((32, 32), 1.0), np.full((32, 32), 2.0)])
    scan = small_scan(30, 32, patterns=Frames(stack), probe=None)
    scan = replace(scan, detector=replace(scan.detector, dark=None, flat=None, saturation=65535.0))
    subtracted = set_background(scan, "subtract", dark=dark, estimate=False)
    assert subtracted.detector.dark is None
    np.testing.assert_allclose(subtracted.patterns[5], np.maximum(stack[5] - 1.5, 0))
    assert (scan.detector.usable(subtracted.patterns[2]) == scan.detector.usable(stack[2])).all()
    with pytest.raises(InputError, match="does not fit"):
        set_background(scan, dark=np.ones((31, 32)))


def test_frames_without_beam_are_excluded() -> None:
    stack = simulate(frames=40, detector=128, photons=1e6, dark=0.2).patterns[:].copy()
    rng = np.random.default_rng(0)
    stack[[4, 9]] = rng.poisson(0.2, (2, 128, 128))
    stack[17] = 0
    scan = simulate(frames=40, detector=128, photons=1e6, dark=0.2)
    assert set_background(replace(scan, patterns=Frames(stack))).left_out == {"no beam": (4, 9, 17)}
    assert set_background(scan).left_out == {}
