"""Two halves of the frames of results that are the truth except for one fault."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from exitwave.analysis.halves import compare_halves, pair_neighbours
from exitwave.frames import Frames
from exitwave.scan import Result
from exitwave.simulation import simulate


def truth_of(*, frames: int = 60, **settings: Any) -> Result:
    """Return a result that is the truth of a simulated scan."""
    scan = simulate(detector=128, frames=frames, seed=2, **settings)
    truth = scan.truth
    assert truth is not None
    return Result(
        scan=replace(scan, patterns=Frames(scan.patterns[:]), positions=truth.positions),
        object=truth.object,
        probe=truth.probe,
        x=truth.x,
        y=truth.y,
        positions=truth.positions,
        mask=np.ones(truth.object.shape[-2:], np.float32),
        errors=np.full(1, 0.01, np.float32),
        holdout_errors=np.zeros(0, np.float32),
        held_out=np.arange(0),
        algorithm="mPIE",
        recipe={},
        provenance={},
        z=truth.z,
    )


def moved(result: Result, pixels: float) -> Result:
    """Return a result with random errors of its positions."""
    positions = result.positions.copy()
    moves = np.random.default_rng(0).normal(size=(len(positions), 2))
    positions[:, :2] += pixels * moves * result.object_pixel[::-1]
    return replace(result, positions=positions)


@pytest.fixture(scope="module")
def perfect() -> Result:
    return truth_of(photons=1e6, specimen="texture")


@pytest.mark.parametrize("photons", [1e4, 1e8])
@pytest.mark.parametrize("modes", [1, 2])
def test_photon_noise_alone_gives_one(photons: float, modes: int) -> None:
    found = compare_halves(truth_of(photons=photons, modes=modes))
    assert found is not None
    assert found.disagreement == pytest.approx(1, abs=0.1)
    assert found.estimated_error == pytest.approx(found.disagreement * found.noise_error)


def test_error_falls_as_the_square_root_of_the_dose(perfect: Result) -> None:
    few, many = compare_halves(truth_of(photons=1e6)), compare_halves(truth_of(photons=1e8))
    assert few is not None
    assert many is not None
    assert few.estimated_error == pytest.approx(10 * many.estimated_error, rel=0.3)


def test_wrong_positions_make_the_halves_disagree(perfect: Result) -> None:
    small, large = compare_halves(moved(perfect, 0.5)), compare_halves(moved(perfect, 1.0))
    assert small is not None
    assert large is not None
    assert 1.5 < small.disagreement < large.disagreement


def test_identical_frames_make_the_halves_disagree(perfect: Result) -> None:
    patterns = perfect.scan.patterns[:].copy()
    patterns[20:32] = patterns[20]
    found = compare_halves(replace(perfect, scan=replace(perfect.scan, patterns=Frames(patterns))))
    assert found is not None
    assert found.disagreement > 1.5


def test_masked_and_saturated_pixels_do_not_count(perfect: Result) -> None:
    patterns, mask = perfect.scan.patterns[:].copy(), perfect.scan.detector.mask.copy()
    mask[60:64, 60:64] = 1
    patterns[:, 60:64, 60:64] = 1e6
    limit = float(np.quantile(patterns[:, mask == 0], 0.999))
    detector = replace(perfect.scan.detector, mask=mask, saturation=limit)
    scan = replace(perfect.scan, patterns=Frames(np.minimum(patterns, limit)), detector=detector)
    for recipe in ({}, {"detector": {"saturated": "cap"}}):
        found = compare_halves(replace(perfect, scan=scan, recipe=recipe))
        assert found is not None
        assert found.disagreement == pytest.approx(1, abs=0.1)


def test_near_field() -> None:
    scan = simulate("near-field", detector=64, frames=30, photons=1e7, seed=1)
    truth = scan.truth
    assert truth is not None
    result = replace(
        truth_of(frames=20),
        scan=replace(scan, patterns=Frames(scan.patterns[:]), positions=truth.positions),
        object=truth.object,
        probe=truth.probe,
        x=truth.x,
        y=truth.y,
        positions=truth.positions,
        mask=np.ones(truth.object.shape, np.float32),
    )
    found = compare_halves(result)
    assert found is not None
    assert found.disagreement == pytest.approx(1, abs=0.1)


def test_what_cannot_be_compared(perfect: Result) -> None:
    assert compare_halves(truth_of(slices=2, photons=1e6)) is None
    assert compare_halves(replace(perfect, object=np.ones_like(perfect.object))) is None
    assert compare_halves(truth_of(frames=12, photons=1e6)) is None


def test_pairs_are_neighbours() -> None:
    plane = np.stack(np.meshgrid(np.arange(7.0), np.arange(5.0)), axis=-1).reshape(-1, 2)
    first, second = pair_neighbours(plane)
    assert sorted([*first, *second]) == list(range(35))
    assert len(first) == 18
    for half in (first, second):
        assert np.linalg.norm(plane[:, None] - plane[half], axis=2).min(axis=1).max() < 2.3
