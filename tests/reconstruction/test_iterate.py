"""Reconstruction of simulated scans: recovery of the truth, reproducibility, continuation, stopping and refusals."""

import dataclasses
import itertools

import numpy as np
import pytest

import exitwave
from exitwave.analysis.error import recompute
from exitwave.engine.backend import Misfit
from exitwave.engine.recipe import make_recipe
from exitwave.errors import InputError, RunError
from exitwave.frames import Frames
from exitwave.reconstruction import iterate as run
from exitwave.reconstruction.loading import load_counts
from exitwave.simulation import simulate


@pytest.fixture(scope="module")
def scan():
    return simulate(detector=128, frames=100, photons=1e6, seed=3)


@pytest.fixture(scope="module")
def result(scan):
    return exitwave.reconstruct(scan, threads=2)


def small(scan, **settings):
    return exitwave.reconstruct(scan, **({"iterations": 2, "threads": 2} | settings))


def with_counts(scan, change):
    stack = np.array(scan.patterns[:])
    change(stack)
    return dataclasses.replace(scan, patterns=Frames(stack))


def distance(a, b):
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def test_the_truth_is_recovered(result):
    comparison = exitwave.compare(result)
    assert comparison.error < 0.1
    assert comparison.frc.correlation.min() > 0.5
    assert result.holdout_errors[-1] < 1.5 * result.errors[-1]


def test_the_defocus_is_found_from_the_data(scan):
    found = small(scan, probe="auto", iterations=1, object_update={"enabled": False}, probe_update={"enabled": False})
    truth = scan.truth.probe[0]
    overlap = np.abs(np.vdot(found.probe[0], truth)) / np.linalg.norm(found.probe[0]) / np.linalg.norm(truth)
    assert overlap > 0.95


def test_the_stored_error_can_be_recomputed_from_the_result(result):
    assert recompute(result) == pytest.approx(result.errors[-1], rel=1e-4)


def test_a_seed_and_a_number_of_threads_give_the_same_bits(scan):
    first, second, other = small(scan, seed=5), small(scan, seed=5), small(scan, seed=6)
    assert np.array_equal(first.object, second.object)
    assert np.array_equal(first.errors, second.errors)
    assert not np.array_equal(first.object, other.object)


def test_held_out_frames_do_not_affect_the_result(scan):
    first = small(scan)
    changed = with_counts(scan, lambda stack: stack.__setitem__(first.held_out, 7.0))
    second = small(changed)
    assert len(first.held_out) == 5
    assert np.array_equal(first.held_out, second.held_out)
    assert np.array_equal(first.object, second.object)
    assert not np.array_equal(first.holdout_errors, second.holdout_errors)


def test_masked_pixels_do_not_change_a_bit(scan):
    mask = scan.detector.mask.copy()
    mask[60:70, 50:60] = 1
    masked = dataclasses.replace(scan, detector=dataclasses.replace(scan.detector, mask=mask))
    wild = with_counts(masked, lambda stack: stack.__setitem__((slice(None), mask == 1), 1e6))
    first, second = small(masked), small(wild)
    assert np.array_equal(first.object, second.object)
    assert np.array_equal(first.probe, second.probe)
    assert np.array_equal(first.errors, second.errors)


def test_a_probe_with_its_update_off_comes_back_bit_for_bit(scan):
    result = small(scan, probe_update={"enabled": False})
    assert np.array_equal(result.probe, scan.probe)


def test_a_quantity_is_updated_only_within_its_schedule(scan):
    late = {"schedule": {"start": 2}}
    steps = exitwave.iterate(scan, iterations=3, probe_update=late, threads=1)
    probes = [progress.result().probe for progress in steps]
    assert np.array_equal(probes[0], probes[1])
    assert not np.array_equal(probes[1], probes[2])


@pytest.mark.parametrize("algorithm", ["ePIE", "rPIE"])
def test_transposed_patterns_give_the_transposed_object(scan, algorithm):
    turned = dataclasses.replace(
        scan,
        patterns=Frames(np.ascontiguousarray(scan.patterns[:].transpose(0, 2, 1))),
        positions=scan.positions[:, [1, 0, 2]],
        probe=scan.probe.transpose(0, 2, 1),
        detector=dataclasses.replace(scan.detector, mask=scan.detector.mask.T),
    )
    settings = {"algorithm": algorithm, "object_update": {"alpha": 0.5}}
    first, second = small(scan, **settings), small(turned, **settings)
    assert distance(second.object.T, first.object) < 1e-3


def test_modes_describe_the_incoherent_part():
    scan = simulate(detector=128, frames=100, photons=1e8, modes=2, seed=3)
    coherent = dataclasses.replace(scan, probe=scan.probe[:1])
    one, two = small(coherent, iterations=20), small(coherent, iterations=20, modes=2)
    assert two.errors[-1] < 0.8 * one.errors[-1]
    gram = two.probe.reshape(2, -1) @ two.probe.reshape(2, -1).conj().T
    assert abs(gram[0, 1]) < 1e-4 * gram[0, 0].real


def test_a_result_continues_with_its_history(scan):
    first = small(scan, iterations=3)
    second = small(first, iterations=2)
    assert len(second.errors) == len(second.holdout_errors) == 5
    assert np.array_equal(second.errors[:3], first.errors)
    assert np.array_equal(second.held_out, first.held_out)
    assert second.errors[-1] < first.errors[-1]


def broken_after(monkeypatch, count, outcome):
    """Replace the iterations of the algorithm after the first ``count`` ones."""
    real, calls = run.ALGORITHMS.get("mPIE"), itertools.count(-1)  # the first call warms up

    def step(state, backend, stage, memory):
        if next(calls) < count:
            return real.step(state, backend, stage, memory)
        return outcome(state)

    monkeypatch.setitem(run.ALGORITHMS.all(), "mPIE", dataclasses.replace(real, step=step))


def interrupt(state):
    raise KeyboardInterrupt


def explode(state):
    state.object *= np.nan
    return Misfit(float("nan"), 1.0)


def test_an_interrupted_run_returns_its_last_iteration(scan, monkeypatch):
    broken_after(monkeypatch, 2, interrupt)
    result = small(scan, iterations=50)
    assert len(result.errors) == 2
    assert result.provenance["stopped_by"] == "interrupted"


def test_after_a_divergence_the_best_iteration_is_returned(scan, monkeypatch):
    good = small(scan, iterations=3)
    broken_after(monkeypatch, 3, explode)
    *_, last = exitwave.iterate(scan, iterations=5, threads=2)
    assert last.stopped_by == "divergence"
    assert last.findings[-1].code == "W235"
    assert "smaller steps" in last.findings[-1].remedy
    assert np.isfinite(last.result().object).all()
    assert last.result().errors[-1] == pytest.approx(good.errors[-1], rel=0.2)


def test_a_divergence_in_the_first_iteration_is_an_error(scan, monkeypatch):
    broken_after(monkeypatch, 0, explode)
    with pytest.raises(RunError, match="smaller steps"):
        small(scan)


def test_a_run_stops_when_its_time_is_over(scan):
    result = small(scan, iterations=10_000, seconds=0.5)
    assert result.provenance["stopped_by"] == "seconds"
    assert 0 < len(result.errors) < 10_000


def test_a_run_stops_when_the_error_no_longer_decreases(scan):
    result = small(scan, iterations=300, patience=5)
    assert result.provenance["stopped_by"] == "converged"
    assert result.holdout_errors[-1] < 1.02 * small(scan, iterations=60).holdout_errors[-1]


def test_stages_run_in_order_and_the_stored_recipe_repeats_the_result(scan):
    stages = [{"algorithm": "ePIE", "iterations": 2}, {"algorithm": "rPIE", "iterations": 3, "batch": 16}]
    progress = list(exitwave.iterate(scan, stages=stages, threads=2))
    assert [step.algorithm for step in progress] == ["ePIE"] * 2 + ["rPIE"] * 3
    assert [step.stopped_by for step in progress] == [""] * 4 + ["iterations"]
    result = progress[-1].result()
    assert result.algorithm == "ePIE + rPIE"
    again = exitwave.reconstruct(scan, make_recipe(result.recipe))
    assert np.array_equal(again.object, result.object)
    assert again.recipe == result.recipe


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"iteration": 5}, "Did you mean iterations"),
        ({"iterations": 0}, "iterations"),
        ({"object_update": {"alfa": 1}}, "Did you mean object_update.alpha"),
        ({"stages": [{"algoritm": "rPIE"}]}, "Did you mean algorithm"),
        ({"stages": [{}, {}], "batch": 5}, "several stages"),
        ({"algorithm": "magic"}, "algorithm"),
        ({"probe": "file"}, "--probe auto"),
    ],
)
def test_bad_settings_are_refused(scan, settings, words):
    with pytest.raises(InputError, match=words):
        small(dataclasses.replace(scan, probe=None), **settings)


def test_a_probe_of_another_size_is_refused(scan):
    with pytest.raises(InputError, match="does not fit"):
        small(dataclasses.replace(scan, probe=scan.probe[:, :64, :64]))


@pytest.mark.parametrize(("value", "code"), [(np.nan, "W231"), (np.inf, "W231"), (-3.0, "W232"), (1e9, "W233")])
def test_invalid_counts_are_excluded(scan, value, code):
    broken = with_counts(scan, lambda stack: stack.__setitem__((5, slice(60, 64), 60), value))
    stack, invalid, findings = load_counts(broken)
    assert [finding.code for finding in findings] == [code]
    assert "4 pixels" in findings[0].found
    assert np.fft.fftshift(stack[5] == invalid)[60:64, 60].all()
    assert (stack[5] == invalid).sum() == 4
    assert np.isfinite(small(broken).object).all()


def test_counts_are_kept_exactly(scan):
    stack, invalid, _ = load_counts(scan)
    assert stack.dtype == np.uint16
    assert np.array_equal(np.fft.fftshift(stack, axes=(1, 2)), scan.patterns[:])
    fractions = with_counts(scan, lambda frames: frames.__setitem__((70, 3, 4), 0.5))
    stack, invalid, _ = load_counts(fractions)
    assert stack.dtype == np.float32
    assert invalid < 0
    assert np.array_equal(np.fft.fftshift(stack, axes=(1, 2)), fractions.patterns[:])


def test_empty_frames_are_left_out_with_a_finding(scan):
    dark = with_counts(scan, lambda stack: stack.__setitem__(slice(0, 3), 0))
    progress = next(exitwave.iterate(dark, iterations=1))
    assert "3 empty frames" in [finding.found for finding in progress.findings]
    with pytest.raises(InputError, match="no counts"):
        small(with_counts(scan, lambda stack: stack.fill(0)))


def test_a_result_with_positions_outside_its_object_is_refused(result):
    lost = dataclasses.replace(result, positions=result.positions + 1e-3)
    with pytest.raises(InputError, match="outside the object"):
        small(lost)


def test_a_result_is_returned_after_the_scan_file_was_deleted(scan, tmp_path):
    scan.save(tmp_path / "scan.cxi")
    for progress in exitwave.iterate(exitwave.open(tmp_path / "scan.cxi"), iterations=1):
        (tmp_path / "scan.cxi").unlink()
        assert np.isfinite(progress.result().object).all()


@pytest.mark.parametrize(
    ("settings", "words"), [({"probe": "auto"}, "its own probe"), ({"holdout": 0.3}, "keeps its held-out frames")]
)
def test_settings_that_contradict_a_result_are_refused(result, settings, words):
    with pytest.raises(InputError, match=words):
        small(result, **settings)


def test_a_result_with_a_probe_of_another_size_is_refused(result):
    with pytest.raises(InputError, match="does not fit"):
        small(dataclasses.replace(result, probe=result.probe[:, :64, :64]))


def test_a_path_is_refused_with_a_remedy():
    with pytest.raises(InputError, match=r"exitwave\.open"):
        exitwave.reconstruct("scan.cxi")


def test_settings_beside_one_stage_change_only_themselves(scan):
    stage = {"stages": [{"iterations": 7, "object_update": {"alpha": 0.3}}], "object_update": {"step": 0.5}}
    recipe = make_recipe(stage)
    assert recipe.stages[0].object_update.alpha == 0.3
    assert recipe.stages[0].object_update.step == 0.5
    assert recipe.stages[0].iterations == 7


def test_frames_that_are_left_out_do_not_affect_the_result(scan):
    left_out = {"the shutter was closed": (5, 60)}
    one = small(dataclasses.replace(scan, left_out=left_out))

    def spoil(stack):
        stack[[5, 60]] = 7

    other = small(dataclasses.replace(with_counts(scan, spoil), left_out=left_out))
    np.testing.assert_array_equal(one.object, other.object)
    assert not {5, 60} & set(one.held_out)
    assert recompute(one) == pytest.approx(one.errors[-1], rel=1e-4)
