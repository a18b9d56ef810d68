"""Thick samples: separation of slices, settings, files, and refusals."""

from dataclasses import replace

import numpy as np
import pytest

import exitwave
from exitwave.analysis.error import recompute
from exitwave.cxi.validate import validate
from exitwave.engine.recipe import make_recipe
from exitwave.errors import InputError
from exitwave.figures import object_figure
from exitwave.reconstruction.multislice import balance


@pytest.fixture(scope="module")
def scan():
    return exitwave.simulate(detector=128, frames=60, slices=2, photons=1e7, specimen="particles")


def settings(scan, **changes):
    known = {"slices": 2, "slice_spacing": float(scan.truth.z[1]), "iterations": 12, "threads": 1}
    return known | changes


@pytest.fixture(scope="module")
def result(scan):
    return exitwave.reconstruct(scan, **settings(scan))


def test_slices_a_depth_of_focus_apart_separate(scan, result):
    found = exitwave.compare(result).slices
    assert found.shape == (2, 2)
    assert np.diag(found).min() > 0.9
    assert max(found[0, 1], found[1, 0]) < 0.2
    assert result.z == pytest.approx(scan.truth.z)


def test_ml_separates_coarse_detail():
    scan = exitwave.simulate(detector=128, frames=60, slices=2, photons=1e7, specimen="texture")
    first = {"iterations": 12}
    wrong = []
    for stages in ([{"iterations": 72}], [first, {"algorithm": "ML", "iterations": 60, "noise": "Poisson"}]):
        known = {"slices": 2, "slice_spacing": float(scan.truth.z[1])}
        found = exitwave.compare(exitwave.reconstruct(scan, stages=stages, threads=1, **known)).slices
        wrong.append(max(found[0, 1], found[1, 0]))
    assert np.diag(found).min() > 0.94
    assert wrong[1] < 0.15
    assert wrong[1] < 0.7 * wrong[0]


def test_the_default_stages_of_slices_end_with_ml(scan):
    assert [stage.algorithm for stage in make_recipe({"slices": 2}).stages] == ["mPIE", "ML"]
    assert [stage.algorithm for stage in make_recipe({"slices": 2, "iterations": 3}).stages] == ["mPIE"]
    assert [stage.algorithm for stage in make_recipe({}).stages] == ["mPIE"]


def test_the_loss_falls_in_every_iteration_of_ml(scan):
    found = exitwave.reconstruct(scan, **settings(scan, algorithm="ML", iterations=8))
    assert (np.diff(found.errors) < 0).all()
    assert recompute(found) < found.errors[-1] * 1.001


@pytest.mark.parametrize("still", ["object", "probe"])
def test_ml_does_not_change_what_is_not_updated(result, still):
    off = {f"{still}_update": {"enabled": False}}
    found = exitwave.reconstruct(result, algorithm="ML", iterations=3, threads=1, **off)
    assert np.array_equal(getattr(found, still), getattr(result, still))
    assert found.errors[-1] < found.errors[-3] < result.errors[-1] * 1.001


def test_ml_without_updates_changes_nothing(result):
    off = {"enabled": False}
    found = exitwave.reconstruct(result, algorithm="ML", iterations=2, threads=1, object_update=off, probe_update=off)
    assert np.array_equal(found.object, result.object)
    assert np.array_equal(found.probe, result.probe)
    assert found.errors[-1] == pytest.approx(recompute(result), rel=1e-3)


def test_ml_converges_while_refinements_and_constraints_change_the_state(scan, result):
    wrong = exitwave.reconstruct(scan, **settings(scan, slice_spacing=1.2 * float(scan.truth.z[1])))
    update = {"schedule": {"start": 0}}
    found = exitwave.reconstruct(
        wrong,
        algorithm="ML",
        iterations=15,
        threads=1,
        spacing_update=update,
        object_constraints={"amplitude": [0, 1.2]},
    )
    assert abs(found.z[1] - scan.truth.z[1]) < 0.75 * (wrong.z[1] - scan.truth.z[1])
    assert np.abs(found.object).max() < 1.3
    assert recompute(found) == pytest.approx(found.errors[-1], rel=1e-3)
    assert found.errors[-1] < wrong.errors[-1]


def test_one_slice_leaves_a_larger_error(scan, result):
    thin = exitwave.reconstruct(scan, iterations=12, threads=1)
    assert thin.errors[-1] > 2 * result.errors[-1]


def test_the_default_spacing_is_a_depth_of_focus(scan):
    found = exitwave.reconstruct(scan, slices=2, iterations=1, threads=1)
    assert found.z[1] == pytest.approx(scan.truth.z[1], rel=0.1)
    assert found.recipe["slice_spacing"] == pytest.approx(found.z[1])


def test_the_error_can_be_recomputed_from_the_file(result, tmp_path):
    path = tmp_path / "result.cxi"
    result.save(path)
    assert [finding for finding in validate(path) if finding.code.startswith("E")] == []
    again = exitwave.open(path)
    assert np.array_equal(again.object, result.object)
    assert np.array_equal(again.z, result.z)
    assert np.array_equal(again.scan.truth.object, result.scan.truth.object)
    assert np.array_equal(again.scan.truth.z, result.scan.truth.z)
    assert recompute(again) == pytest.approx(result.errors[-1], rel=1e-3)
    continued = exitwave.reconstruct(again, iterations=1, threads=1)
    assert continued.slices == 2
    assert continued.errors[-1] < 1.2 * result.errors[-1]


def test_a_file_with_slices_but_without_their_positions_is_invalid(result, tmp_path):
    import h5py

    path = tmp_path / "result.cxi"
    result.save(path)
    with h5py.File(path, "r+") as file:
        del file["entry_1/image_1/z"]
    assert ("E101", "/entry_1/image_1/z") in [(finding.code, finding.path) for finding in validate(path)]
    with pytest.raises(InputError, match="depth of the slices"):
        exitwave.open(path)


def test_every_slice_is_drawn(result):
    titles = [axes.get_title() for axes in object_figure(result.object, result.object_pixel, result.mask).axes]
    assert [title for title in titles if "slice" in title] == ["Amplitude, slice 1", "Amplitude, slice 2"]


def test_a_coarse_stage_helps_a_fine_one(scan):
    stages = [{"coarse": 2, "iterations": 3}, {"iterations": 1}]
    both = exitwave.reconstruct(scan, stages=stages, slices=2, slice_spacing=float(scan.truth.z[1]), threads=1)
    alone = exitwave.reconstruct(scan, **settings(scan, iterations=1))
    assert both.errors[-1] < alone.errors[-1]


@pytest.mark.parametrize("algorithm", ["rPIE", "PIE", "ePIE", "Adam", "ML"])
def test_all_capable_algorithms_lower_the_error(scan, algorithm):
    found = exitwave.reconstruct(scan, **settings(scan, algorithm=algorithm, iterations=3))
    assert found.errors[-1] < 0.5 * found.errors[0]


def test_a_thin_result_continues_as_slices_with_the_same_product(scan):
    thin = exitwave.reconstruct(scan, iterations=2, threads=1)
    update = {"enabled": False}
    thick = exitwave.reconstruct(
        thin, **settings(scan, iterations=1, object_update=update, probe_update=update, slice_spacing=1e-9)
    )
    assert thick.slices == 2
    assert thick.errors[-1] == pytest.approx(thin.errors[-1], rel=1e-3)


def test_a_wrong_spacing_is_corrected(scan):
    wrong = 1.2 * float(scan.truth.z[1])
    found = exitwave.reconstruct(scan, **settings(scan, iterations=15, slice_spacing=wrong, spacing_update=True))
    assert found.z[1] < wrong - 0.25 * (wrong - scan.truth.z[1])
    assert recompute(found) == pytest.approx(found.errors[-1], rel=1e-3)


def test_balanced_slices_have_equal_power_and_the_same_product():
    obj = np.random.default_rng(0).uniform(0.5, 1, (3, 5, 6)).astype(np.complex64) * np.array([1, 3, 5])[:, None, None]
    before = obj.prod(0)
    balanced = obj.astype(np.complex64)
    balance(balanced)
    np.testing.assert_allclose(balanced.prod(0), before, rtol=1e-5)
    assert np.ptp(np.linalg.norm(balanced, axis=(1, 2))) < 1e-3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algorithm": "LSQ-ML"}, "does not support several slices"),
        ({"algorithm": "DM"}, "does not support several slices"),
        ({"algorithm": "ML", "position_update": True}, "does not refine positions with several slices"),
        ({"opr_update": True}, "not refined with several slices"),
        ({"pointing_update": True}, "not refined with several slices"),
        ({"slices": 1}, "single slice has no spacing"),
        ({"slice_spacing": 1.0}, "spacing of the slices is not possible"),
        ({"slices": 1, "slice_spacing": None, "spacing_update": True}, "no slices"),
        ({"slices": 1, "slice_spacing": None, "slice_smoothing": True}, "no slices"),
    ],
)
def test_settings_that_do_not_fit_slices_are_refused(scan, changes, message):
    with pytest.raises(InputError, match=message):
        exitwave.reconstruct(scan, **settings(scan, **changes))


def test_a_result_keeps_its_slices(result):
    with pytest.raises(InputError, match="keeps its slices"):
        exitwave.reconstruct(result, slices=3)


def test_a_scan_without_slices_has_none():
    thin = exitwave.simulate(detector=128, frames=2)
    assert thin.truth.z is None
    with pytest.raises(InputError, match="slice spacing"):
        exitwave.simulate(slice_spacing=1e-5)
    with pytest.raises(InputError, match="near field"):
        exitwave.simulate("near-field", slices=2)


def test_simulated_frames_depend_on_the_second_slice(scan):
    """An empty second slice changes only the phase of the far field."""
    truth = scan.truth
    assert truth.object.shape[0] == 2
    empty = replace(truth, object=np.stack([truth.object[0], np.ones_like(truth.object[0])]))
    frames = type(scan.patterns)(empty, scan.detector, 0, slice_transfer=scan.patterns._slice_transfer)
    thin = type(scan.patterns)(replace(truth, object=truth.object[0]), scan.detector, 0)
    np.testing.assert_allclose(frames.expected(3), thin.expected(3), rtol=1e-6, atol=1e-6 * frames.expected(3).max())
    assert np.abs(scan.patterns.expected(3) - thin.expected(3)).max() > 1e-3 * thin.expected(3).max()


def test_scans_that_share_a_probe_have_separate_slices():
    scans = [exitwave.simulate(detector=128, frames=10, slices=2, seed=seed) for seed in (0, 1)]
    found = exitwave.reconstruct(scans, share="probe", slices=2, iterations=1, threads=1)
    for result, scan in zip(found, scans, strict=True):
        assert result.object.shape == scan.truth.object.shape
        assert recompute(result) == pytest.approx(result.errors[-1], rel=1e-3)
