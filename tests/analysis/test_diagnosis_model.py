"""Diagnoses of the model, for results that are the truth except for one fault."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from exitwave.analysis.diagnosis import Diagnosis, diagnose
from exitwave.analysis.diagnosis.model import residuals
from exitwave.frames import Frames
from exitwave.scan import Result, Scan
from exitwave.simulation import simulate

FRAMES = 60


def truth_of(scan: Scan, **changes: Any) -> Result:
    """Return a result that is the truth of a scan."""
    truth = scan.truth
    assert truth is not None
    errors = np.full(1, 0.01, np.float32)
    values: dict[str, Any] = {
        "scan": replace(scan, patterns=Frames(scan.patterns[:]), positions=truth.positions),
        "object": truth.object,
        "probe": truth.probe,
        "x": truth.x,
        "y": truth.y,
        "positions": truth.positions,
        "mask": np.ones(truth.object.shape, np.float32),
        "errors": errors,
        "holdout_errors": 1.1 * errors,
        "held_out": np.array([3, 5]),
        "algorithm": "mPIE",
        "recipe": {},
        "provenance": {},
    }
    return Result(**values | changes)


def placed(result: Result, positions: Any) -> Result:
    """Return a result with other positions, in its scan too."""
    return replace(result, positions=positions, scan=replace(result.scan, positions=positions))


def codes(result: Result) -> dict[str, Diagnosis]:
    return {each.code: each for each in diagnose(result)}


@pytest.fixture(scope="module")
def perfect() -> Result:
    return truth_of(simulate(detector=128, frames=FRAMES, photons=1e6, seed=2, specimen="texture"))


def test_truth_has_no_problem(perfect: Result) -> None:
    assert diagnose(perfect) == ()
    rest = residuals(perfect)
    assert rest is not None
    assert rest.above_noise == pytest.approx(1, abs=0.02)
    assert rest.certainty < 1.5
    assert abs(rest.blur[0]) < 4 * rest.blur[1] + 0.01


def test_moves_are_the_errors_of_the_positions(perfect: Result) -> None:
    moves = 0.12 * np.random.default_rng(0).normal(size=(FRAMES, 2))
    positions = perfect.positions.copy()
    positions[:, :2] -= moves * perfect.object_pixel[::-1]
    wrong = placed(perfect, positions)
    rest = residuals(wrong)
    assert rest is not None
    assert rest.moves == pytest.approx(moves[rest.frames], abs=0.05)
    assert codes(wrong)["D408"].number == pytest.approx(np.sqrt((moves**2).sum(1).mean()), rel=0.2)


def test_drift_of_the_positions(perfect: Result) -> None:
    positions = perfect.positions.copy()
    positions[:, 0] += np.linspace(-0.6, 0.6, FRAMES) * perfect.object_pixel[1]
    wrong = placed(perfect, positions)
    assert codes(wrong)["D405"].number == pytest.approx(1.2, rel=0.35)  # the linear model is inaccurate for such moves
    assert "D408" not in codes(wrong)
    positions = perfect.positions + 3 * (positions - perfect.positions)
    corrected = replace(perfect, scan=replace(perfect.scan, positions=positions))
    assert codes(corrected)["D405"].level == "info"
    assert codes(corrected)["D405"].number == pytest.approx(3.6, rel=0.1)


def test_too_few_modes() -> None:
    whole = truth_of(simulate(detector=128, frames=FRAMES, photons=1e6, seed=2, mode_powers=[0.6, 0.3, 0.1]))
    assert codes(whole)["D409"].level == "info"  # the model has several modes
    assert codes(whole)["D409"].number == pytest.approx(0.6)
    scale = np.linalg.norm(whole.probe) / np.linalg.norm(whole.probe[:1])
    single = codes(replace(whole, probe=whole.probe[:1] * np.float32(scale)))
    assert single["D409"].level == "warning"


def test_unexplained_counts(perfect: Result) -> None:
    wrong = codes(replace(perfect, object=perfect.object.conj(), holdout_errors=perfect.errors * 2))
    assert wrong["D418"].number > 2


def test_refined_distance(perfect: Result) -> None:
    model = {"distance": np.array(2.0), "assumed_distance": np.array(1.9)}
    assert codes(replace(perfect, model=model))["D411"].number == pytest.approx(2 / 1.9 - 1)


def test_better_orientation(perfect: Result) -> None:
    errors = {"as in the file": 0.03, "x flipped": 0.01, "transposed": 0.04}
    (axes,) = (each for each in diagnose(perfect.scan, errors) if each.code == "D412")
    assert axes.number == pytest.approx(3)
    assert "x flipped" in axes.evidence
    assert diagnose(perfect.scan, {"as in the file": 0.01, "x flipped": 0.03}) == ()


def test_intensity_that_varies_from_frame_to_frame(perfect: Result) -> None:
    scales = 1 + 0.1 * np.random.default_rng(0).normal(size=(FRAMES, 1, 1))
    patterns = np.random.default_rng(1).poisson(perfect.scan.patterns[:] * scales).astype(np.float32)
    wrong = replace(perfect, scan=replace(perfect.scan, patterns=Frames(patterns)))
    found = codes(wrong)["D406"]
    assert found.what == "the intensity of the beam varies"
    assert found.number == pytest.approx(0.1, rel=0.3)
    assert "intensity_update=true" in found.remedy


def test_refinement_that_has_failed_is_named_before_holes(perfect: Result) -> None:
    positions = perfect.positions.copy()
    positions[:, :2] += 4 * np.random.default_rng(0).normal(size=(FRAMES, 2)) * perfect.object_pixel[::-1]
    found = diagnose(replace(perfect, positions=positions))
    assert (found[0].code, found[0].level) == ("D408", "warning")
    assert "The refinement was on" in found[0].remedy
    assert "D418" not in [each.code for each in found]


def test_remedies_know_the_recipe(perfect: Result) -> None:
    refined = {"stages": [{"algorithm": "ML", "position_update": {}, "intensity_update": {}}]}
    positions = perfect.positions.copy()
    positions[:, :2] -= 0.5 * np.random.default_rng(0).normal(size=(FRAMES, 2)) * perfect.object_pixel[::-1]
    wrong = placed(perfect, positions)
    assert "--refine-positions" in codes(wrong)["D408"].remedy
    assert "continue it" in codes(replace(wrong, recipe=refined))["D408"].remedy
    unexplained = replace(perfect, object=perfect.object * np.float32(1.2))
    assert "--refine-positions, --modes 3" in codes(unexplained)["D418"].remedy
    remedy = codes(replace(unexplained, recipe=refined))["D418"].remedy
    assert "--refine-positions" not in remedy
    assert "intensity_update" not in remedy
