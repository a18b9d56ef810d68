import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from known import known_result

import exitwave
from exitwave.analysis.error import modelled_frames, recompute
from exitwave.analysis.verdict import Verdict, verdict
from exitwave.frames import Frames
from exitwave.frc import FRC
from exitwave.scan import Result


@pytest.fixture(scope="module")
def perfect() -> Result:
    """Return a result that is the truth, with frames of Poisson counts about its model."""
    result = known_result(npos=20)
    rng = np.random.default_rng(5)
    frames = [rng.poisson(frame.model) for frame in modelled_frames(result, range(20))]
    return replace(result, scan=replace(result.scan, patterns=Frames(np.array(frames, np.float32))))


def test_error_of_the_truth_is_that_of_noise(perfect: Result) -> None:
    judged = verdict(perfect)
    assert judged.above_noise == pytest.approx(1.0, abs=0.02)
    assert judged.noise_error == pytest.approx(recompute(perfect), rel=0.02)
    assert "only more photons" in judged.sentences()[2]


def test_covered_area_frames_per_pixel_and_photons(perfect: Result) -> None:
    judged = verdict(perfect)
    pixel = perfect.object_pixel[0] * perfect.object_pixel[1]
    assert judged.area == pytest.approx((perfect.mask > 0.5).sum() * pixel)
    assert 0 <= judged.frames_per_pixel[0] <= judged.frames_per_pixel[1] <= 20
    assert judged.photons_per_resolution is None
    frc = FRC(np.ones(2), np.ones(2), np.zeros(2), 30e-9, False)
    judged = verdict(replace(perfect, frc=frc))
    assert judged.photons_per_resolution == pytest.approx(judged.photons[1] * 9e-16 / pixel)
    assert "30 nm" in judged.sentences()[1]
    mean = np.mean([frame.counts[frame.good].mean() for frame in modelled_frames(perfect, range(20))])
    assert judged.counts == pytest.approx(mean, rel=0.05)
    assert ("coarse structure may be wrong" in judged.sentences()[1]) == (mean < 1)
    assert "coarse structure may be wrong" in replace(judged, counts=0.6).sentences()[1]


def test_without_frames_the_noise_limit_is_unknown(result_file: Any, scan_file: Any) -> None:
    scan_file.unlink()
    judged = verdict(exitwave.open(result_file))
    assert judged.noise_error is None
    assert "frames or probe are missing" in judged.sentences()[2]


@pytest.mark.parametrize(
    ("error", "holdout_error", "modes", "grade", "text"),
    [
        (0.01, 0.012, 1, "good", "good: error on 5 held-out frames: 0.012; on the used frames: 0.01 (0 is perfect)"),
        (0.01, 0.03, 1, "poor", "3 times that on the used frames (0.01). Check positions and geometry; scan"),
        (0.01, 0.03, 2, "poor", "use fewer modes"),
        (0.9, 1.0, 1, "poor", "explains only a small part of the counts"),
        (0.01, None, 1, "unknown", "No frame was held out"),
    ],
)
def test_first_sentence_and_grade(error: float, holdout_error: float | None, modes: int, grade: str, text: str) -> None:
    result = replace(
        known_result(modes=modes),
        errors=np.array([error], np.float32),
        holdout_errors=np.array([] if holdout_error is None else [holdout_error], np.float32),
        held_out=np.arange(5),
    )
    judged = verdict(result)
    assert judged.grade == grade
    assert text in judged.sentences()[0]
    assert json.loads(json.dumps(judged.as_dict()))["sentences"] == judged.sentences()
    assert isinstance(judged, Verdict)
