import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from known import known_result

import exitwave
from exitwave.analysis.error import modelled_frames
from exitwave.analysis.verdict import verdict
from exitwave.frames import Frames
from exitwave.frc import FRC
from exitwave.scan import Result


@pytest.fixture(scope="module")
def perfect() -> Result:
    """Return a result that is the truth, with frames of Poisson counts about its model."""
    result = known_result(npos=40)
    rng = np.random.default_rng(5)
    frames = [rng.poisson(frame.model) for frame in modelled_frames(result, range(40))]
    return replace(result, scan=replace(result.scan, patterns=Frames(np.array(frames, np.float32))))


def test_the_truth_is_good(perfect: Result) -> None:
    judged = verdict(perfect, ())
    assert judged.headline() == "GOOD: the image agrees with all frames, and only photon noise limits it."
    assert (judged.grade, judged.limit) == ("GOOD", "photons")
    assert judged.used is not None
    assert judged.used.ratio == pytest.approx(1.0, abs=0.02)
    assert judged.score is not None
    assert 0.8 < judged.score <= 1
    assert json.loads(json.dumps(judged.as_dict()))["sentences"] == judged.sentences()


def test_wrong_positions_are_bad(perfect: Result) -> None:
    positions = perfect.positions.copy()
    positions[:, :2] += 2 * np.random.default_rng(0).normal(size=(40, 2)) * perfect.object_pixel[::-1]
    judged = verdict(replace(perfect, positions=positions), ())
    assert judged.grade == "BAD"
    assert "contradict each other" in judged.headline()


def test_covered_area_frames_per_pixel_and_photons(perfect: Result) -> None:
    judged = verdict(perfect, ())
    pixel = perfect.object_pixel[0] * perfect.object_pixel[1]
    assert judged.area == pytest.approx((perfect.mask > 0.5).sum() * pixel)
    assert 0 <= judged.frames_per_pixel[0] <= judged.frames_per_pixel[1] <= 40
    assert judged.photons_per_resolution is None
    frc = FRC(np.ones(2), np.ones(2), np.zeros(2), 30e-9, False)
    judged = verdict(replace(perfect, frc=frc), ())
    assert judged.photons_per_resolution == pytest.approx(judged.photons[1] * 9e-16 / pixel)
    resolution = judged.sentences()[3]
    assert "30 nm" in resolution
    assert judged.used is not None
    assert ("coarse structure may be wrong" in resolution) == (judged.used.mean_counts < 1)
    faint = replace(judged, used=replace(judged.used, mean_counts=0.6))
    assert "coarse structure may be wrong" in faint.sentences()[3]


def test_without_frames_the_error_is_unknown(result_file: Any, scan_file: Any) -> None:
    scan_file.unlink()
    judged = verdict(exitwave.open(result_file))
    assert (judged.grade, judged.used, judged.halves, judged.score) == ("CHECK", None, None, None)
    assert "frames or probe are missing" in judged.sentences()[2]
