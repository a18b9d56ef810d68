"""Runs with a detector model: better objects, and files from which the error can be recomputed."""

from dataclasses import replace

import numpy as np
import pytest

import exitwave
from exitwave.analysis.error import recompute
from exitwave.cxi.validate import validate
from exitwave.engine.model.detector import DetectorSettings
from exitwave.errors import InputError
from exitwave.frames import Frames
from exitwave.reconstruction.loading import load_counts
from exitwave.simulation import simulate


def scan_of(**faults):
    return simulate(detector=128, frames=40, photons=5e5, seed=3, **faults)


def run(scan, **settings):
    return exitwave.reconstruct(scan, **({"iterations": 2, "threads": 1} | settings))


def capped(scan, part=0.01):
    """Return the scan with its brightest counts saturated."""
    stack = scan.patterns[:]
    cap = float(np.quantile(stack[:, scan.detector.mask == 0], 1 - part))
    detector = replace(scan.detector, saturation=cap)
    return replace(scan, patterns=Frames(np.minimum(stack, np.float32(cap))), detector=detector)


ALL = {
    "detector": {"background": 0.5, "saturated": "cap", "blur": 0.6},
    "background_update": {"schedule": {"start": 0}},
}


@pytest.fixture(scope="module")
def faulty():
    return capped(scan_of(background=0.7, flat=0.1, blur=0.6, bad_pixels=0.05, dark=0.2))


def test_counts_of_masked_pixels_do_not_affect_the_result(faulty):
    stack = faulty.patterns[:].copy()
    stack[:, faulty.detector.mask == 1] = 1e6
    first, second = run(faulty, **ALL), run(replace(faulty, patterns=Frames(stack)), **ALL)
    assert np.array_equal(first.object, second.object)
    assert np.array_equal(first.model["background"], second.model["background"])
    assert np.array_equal(first.errors, second.errors)


@pytest.mark.parametrize("dark", ["dark", 0.5])
def test_the_error_can_be_recomputed_from_the_file(faulty, dark, tmp_path):
    settings = ALL | {"detector": ALL["detector"] | {"background": dark}}
    result = run(faulty, **settings)
    assert recompute(result) == pytest.approx(result.errors[-1], rel=1e-4)
    result.save(tmp_path / "result.cxi")
    again = exitwave.open(tmp_path / "result.cxi")
    np.testing.assert_array_equal(again.model["background"], result.model["background"])
    assert recompute(again) == pytest.approx(result.errors[-1], rel=1e-4)
    longer = run(again, **settings)
    assert len(longer.errors) == 4


def test_oversampling_has_a_larger_field_and_its_file_is_valid(tmp_path):
    scan = scan_of()
    result = run(scan, iterations=4, detector={"oversample": 2})
    assert result.probe.shape[1:] == (256, 256)
    assert result.object_pixel == pytest.approx(scan.object_pixel)
    assert recompute(result) == pytest.approx(result.errors[-1], rel=1e-4)
    result.save(tmp_path / "result.cxi")
    assert [each.code for each in validate(tmp_path / "result.cxi") if each.level == "error"] == []
    again = exitwave.open(tmp_path / "result.cxi")
    np.testing.assert_array_equal(again.probe, result.probe)
    assert recompute(again) == pytest.approx(result.errors[-1], rel=1e-4)
    assert run(again, detector={"oversample": 2}).errors[-1] < 1.2 * result.errors[-1]
    with pytest.raises(InputError, match="does not fit"):
        run(again)


def test_every_frame_may_have_a_mask_of_its_own(tmp_path):
    scan = scan_of()
    mask = (np.random.default_rng(0).random(scan.patterns.shape) < 0.005).astype(np.uint8)
    stack = np.where(mask, np.float32(1e6), scan.patterns[:])
    masked = replace(scan, patterns=Frames(stack), detector=replace(scan.detector, mask=mask))
    first = run(masked)
    second = run(replace(masked, patterns=Frames(np.where(mask, np.float32(0), stack))))
    assert np.array_equal(first.object, second.object)
    assert recompute(first) == pytest.approx(first.errors[-1], rel=1e-4)
    masked.save(tmp_path / "scan.cxi")
    again = exitwave.open(tmp_path / "scan.cxi")
    np.testing.assert_array_equal(again.detector.mask, mask)
    assert [each.code for each in validate(tmp_path / "scan.cxi") if each.level == "error"] == []


def test_the_background_in_the_model_gives_a_better_object():
    scan = scan_of(background=1.0)
    settings = {"iterations": 25, "holdout": 0}
    without, known = run(scan, **settings), run(scan, **settings, detector={"background": 1.0})
    refined = run(scan, **settings, background_update=True)
    errors = [exitwave.compare(result).error for result in (without, known, refined)]
    assert errors[1] < 0.8 * errors[0]
    assert errors[2] < 0.85 * errors[0]
    assert np.median(refined.model["background"]) == pytest.approx(1.0, rel=0.25)


def test_a_missing_dark_frame_or_flat_field_is_refused():
    scan = scan_of()
    with pytest.raises(InputError, match="no dark frame"):
        run(scan, detector={"background": "dark"})
    with pytest.raises(InputError, match="no flat field"):
        run(scan, detector={"flat": True})


def test_saturated_counts_are_kept_as_lower_bounds_on_request(faulty):
    mark = load_counts(faulty)[1]
    excluded = load_counts(faulty)[0]
    kept, invalid, findings = load_counts(faulty, DetectorSettings(saturated="cap", background="dark"))
    assert (excluded == mark).sum() > (kept == invalid).sum()
    assert kept[kept != invalid].max() == np.float32(faulty.detector.saturation)
    assert "W233" in {each.code for each in findings}


@pytest.mark.parametrize("more", [{"detector": {"blur": 0.5}}, {"background_update": {"schedule": {"start": 0}}}])
def test_fly_scans_are_refused(more):
    with pytest.raises(InputError, match=r"[Ff]ly scan"):
        run(scan_of(), fly={"exposures": 2}, **more)
