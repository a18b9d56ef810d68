"""Bad pixels are found, and good pixels are not masked."""

from dataclasses import replace

import numpy as np
import pytest
from samples import small_scan

from exitwave.frames import Frames
from exitwave.preparation import clean_pixels, find_bad_pixels, survey_frames
from exitwave.preparation.survey import brightest_neighbour
from exitwave.scan import Detector, Scan
from exitwave.simulation import simulate
from exitwave.simulation.detector import DEAD, HOT


def without_masks(scan: Scan, stack: np.ndarray | None = None) -> Scan:
    """Return a scan whose detector has no mask of bad pixels and no saturation value."""
    frames = Frames(scan.patterns[:] if stack is None else stack)
    mask = np.zeros(frames.shape[1:], np.uint8)
    return replace(scan, patterns=frames, detector=Detector(2.0, (75e-6, 75e-6), mask), probe=None)


@pytest.mark.parametrize("photons", [1e5, 1e8])
@pytest.mark.parametrize(("preset", "specimen"), [("26-ID", "star"), ("2-ID-D", "cells")])
def test_a_clean_scan_has_no_bad_pixels(preset: str, specimen: str, photons: float) -> None:
    scan = without_masks(
        simulate(preset, frames=60, detector=128, photons=photons, specimen=specimen, dark=0.1, seed=4)
    )
    clean = clean_pixels(scan)
    assert not clean.detector.mask.any()
    assert clean.detector.saturation is None
    assert clean.preparation[-1].settings["masked"] == 0


def test_hot_and_dead_pixels_with_an_effect_are_found() -> None:
    simulated = simulate("26-ID", frames=80, detector=128, photons=1e6, bad_pixels=0.01, seed=2)
    truth, scan = simulated.detector.pixel_mask, without_masks(simulated)
    clean = clean_pixels(scan)
    found = clean.detector.mask != 0
    assert not (found & (truth == 0)).any()
    assert found[truth == HOT].all()
    lost = simulate("26-ID", frames=80, detector=128, photons=1e6, seed=2).patterns[:].sum(0)
    assert lost[(truth == DEAD) & ~found].sum() < 2e-5 * lost.sum()
    assert found[(truth == DEAD) & (lost > 60)].all()
    assert ((clean.detector.pixel_mask != 0) == found).all()
    assert (clean.detector.pixel_mask[found & (truth == DEAD)] == 2).all()


def test_flickering_pixels_are_found_and_single_events_are_not() -> None:
    stack = simulate("26-ID", frames=60, detector=128, photons=1e7).patterns[:].copy()
    rng = np.random.default_rng(1)
    stack[rng.random(60) < 0.2, 10, 20] += 300
    stack[[3, 20, 41, 55], 64, 24] = 3e4  # in the bright cone, where the mean changes little
    stack[7, 100, 30] += 5000
    found = find_bad_pixels(survey_frames(without_masks(small_scan(), stack)), np.ones((128, 128), bool))
    assert np.argwhere(found["hot"]).tolist() == [[10, 20]]
    assert np.argwhere(found["flickering"]).tolist() == [[64, 24]]


@pytest.mark.parametrize("kind", ["uint16", "uint32", "int32", "float32"])
def test_marks_of_invalid_counts_are_recognised_for_every_type(kind: str) -> None:
    rng = np.random.default_rng(0)
    stack = rng.poisson(20, (40, 32, 32)).astype(kind)
    mark = {"uint16": 65_535, "uint32": 2**32 - 1, "int32": -1, "float32": np.nan}[kind]
    stack[:, 8:10] = mark
    stack[3, 20, 20] = mark
    scan = without_masks(small_scan(40, 32), stack)
    clean = clean_pixels(scan)
    assert (clean.detector.mask[8:10] == 1).all()
    assert clean.detector.mask.sum() == 64
    usable = clean.detector.usable(stack[3].astype(np.float32))
    assert not usable[20, 20]
    assert usable.sum() == 32 * 32 - 64 - 1


def test_saturation_is_estimated_where_many_pixels_have_the_same_largest_count() -> None:
    scan = simulate("26-ID", frames=40, detector=128, photons=3e7)
    top = float(np.quantile(scan.patterns[:].max(axis=0), 0.98)) // 1
    clipped = without_masks(scan, np.minimum(scan.patterns[:], np.float32(top)))
    assert clean_pixels(clipped).detector.saturation == top
    assert not clean_pixels(clipped).detector.mask.any()
    for stated, expected in ((1e6, top), (top / 2, top / 2)):
        known = replace(clipped, detector=replace(clipped.detector, saturation=stated))
        assert clean_pixels(known).detector.saturation == expected


def test_interpolated_pixels_have_the_mean_of_their_neighbours_and_stay_masked() -> None:
    yy, xx = np.mgrid[:32, :32].astype(np.float32)
    stack = np.stack([100 + k + 2 * yy + xx for k in range(5)])
    mask = np.zeros((32, 32), np.uint8)
    mask[5, 5] = mask[16:19, 20] = mask[0, 0] = 1
    spoiled = stack.copy()
    spoiled[:, mask != 0] = np.nan
    scan = small_scan(5, 32, patterns=Frames(spoiled), probe=None)
    scan = replace(scan, detector=replace(scan.detector, mask=mask, pixel_mask=None, dark=None, flat=None))
    interpolated = clean_pixels(scan, interpolate=True)
    np.testing.assert_allclose(interpolated.patterns[:][:, 1:], stack[:, 1:], atol=0.3)
    np.testing.assert_allclose(interpolated.patterns[2], interpolated.patterns[:][2])
    assert np.isfinite(interpolated.patterns[:]).all()
    np.testing.assert_array_equal(interpolated.detector.mask, mask)
    assert [decision.name for decision in interpolated.preparation[-2:]] == ["masked", "interpolated"]


def test_the_survey_does_not_depend_on_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    scan = without_masks(simulate("26-ID", frames=30, detector=128, photons=1e6, bad_pixels=0.003))
    whole, calls = survey_frames(scan), []
    monkeypatch.setattr("exitwave.preparation.survey.BLOCK", 8 * 128 * 128 * 7)
    parts = survey_frames(scan, lambda done, of: calls.append((done, of)))
    for name, value in vars(whole).items():
        if value is not None:
            np.testing.assert_allclose(getattr(parts, name), value, rtol=1e-7, err_msg=name)
    assert calls == [(7, 30), (14, 30), (21, 30), (28, 30), (30, 30)]
    stack = scan.patterns[:3]
    padded = np.pad(stack, ((0, 0), (1, 1), (1, 1)))
    shifts = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    expected = np.max([padded[:, i : i + 128, j : j + 128] for i, j in shifts], axis=0)
    np.testing.assert_array_equal(brightest_neighbour(stack), expected)
