"""Refinement of the positions: single steps, limits, the affine fit, and the recovery of jitter."""

import dataclasses

import numpy as np
import pytest
from problems import double, make_problem, model, single
from scipy.ndimage import gaussian_filter

import exitwave
from exitwave.analysis.error import recompute
from exitwave.engine.backends.cpu.passes import CpuBackend
from exitwave.engine.backends.reference.passes import ReferenceBackend
from exitwave.engine.model import affine, positions
from exitwave.engine.model.affine import Affine
from exitwave.engine.model.positions import PositionUpdate
from exitwave.engine.model.responses import RecordingBackend
from exitwave.engine.recipe import make_recipe
from exitwave.errors import InputError
from exitwave.reconstruction import coarse
from exitwave.simulation import simulate

STEP = 14


def smooth_case():
    """Return a problem whose object has detail of some pixels, with noiseless frames, and its state."""
    problem, state = make_problem((32, 32), frames=30, margin=4, dtype=np.float32)
    state.object = 1 + 3 * gaussian_filter(state.object - 1, 2.0, mode="wrap")
    state.probe = gaussian_filter(state.probe, (0, 1.5, 1.5), mode="wrap")
    return dataclasses.replace(problem, counts=model(problem, state).astype(np.float32)), state


def step(problem, state, backend, **settings):
    """Refine the positions once with fixed object and probe, and return the displacements."""
    settings = PositionUpdate(momentum=0, search=False, **settings)
    positions.initialise(state, problem, settings)
    before = state.positions
    positions.update(
        state, RecordingBackend(backend, state).complete(state), settings, problem, positions.PositionMemory()
    )
    return state.positions - before


@pytest.mark.parametrize("build", ["reference", "cpu"])
def test_one_step_corrects_most_of_a_displacement(build):
    problem, truth = smooth_case()
    state = double(truth) if build == "reference" else single(truth)
    state.positions = problem.pixels.astype(float)
    state.positions[7] -= (0.4, -0.3)
    backend = ReferenceBackend(problem) if build == "reference" else CpuBackend(problem, 1, 1)
    moved = step(problem, state, backend)
    along = moved[7] @ (0.4, -0.3) / 0.25
    assert 0.8 < along < 1.5
    assert np.abs(moved[7] - along * np.array([0.4, -0.3])).max() < 0.2
    assert np.abs(np.delete(moved, 7, axis=0)).max() < 0.03  # only the common shift


def test_exact_positions_and_frames_without_detail_do_not_move():
    problem, truth = smooth_case()
    assert np.abs(step(problem, double(truth), ReferenceBackend(problem))).max() < 1e-4
    flat = double(truth)
    flat.object[:] = 1
    assert np.abs(step(problem, flat, ReferenceBackend(problem))).max() < 1e-9


def test_displacements_are_limited_to_the_largest_step():
    problem, truth = smooth_case()
    state = double(truth)
    state.positions = problem.pixels + np.random.default_rng(0).normal(0, 0.3, (30, 2))
    responses = RecordingBackend(ReferenceBackend(problem), state).complete(state)
    assert np.hypot(*positions.displacements(responses, 4.0, 0.05).T).max() == pytest.approx(0.05)


def test_clipped_positions_have_windows_inside_the_object():
    problem, _ = make_problem((16, 18))
    far = problem.pixels + np.array([100.0, -100.0])
    corners, _ = dataclasses.replace(problem, pixels=positions.clip_positions(far, problem)).windows()
    assert (corners == np.array([problem.object_shape[0] - 18, 2])).all()


def test_coarse_problems_keep_the_positions_of_the_scan():
    problem, _ = make_problem((64, 64))
    nominal = problem.pixels + 0.5
    small = coarse.crop(dataclasses.replace(problem, nominal=nominal), 2)
    assert np.allclose(small.scanned, nominal / 2)


@pytest.mark.parametrize("name", ["scale", "asymmetry", "rotation", "shear"])
def test_an_affine_fit_finds_the_free_parameters_only(name):
    rng = np.random.default_rng(0)
    nominal = rng.uniform(0, 200, (80, 2))
    relative = nominal - nominal.mean(0)
    moved = nominal + 3 + 0.01 * relative @ affine._BASIS[name].T
    moved[5] += 30  # lost
    one = Affine(**{each: each == name for each in affine._BASIS})
    found = affine.fit(nominal, moved, np.ones(80), one)
    assert found.parameters == {name: pytest.approx(0.01, abs=2e-4)}
    assert np.abs(np.delete(found.positions - moved, 5, axis=0)).max() < 0.05
    others = Affine(**{each: each != name for each in affine._BASIS})
    assert np.abs(list(affine.fit(nominal, moved, np.ones(80), others).parameters.values())).max() < 5e-3


def test_ambiguous_affine_parameters_are_limited_by_the_scatter_of_the_frames():
    problem, _ = make_problem((32, 32), frames=30)
    relative = problem.scanned - problem.scanned.mean(0)
    noise = np.random.default_rng(1).normal(0, 0.01, (30, 2))
    for name, basis in affine._BASIS.items():
        moved = problem.scanned + 0.02 * relative @ basis.T + noise
        found = affine.fit(problem.scanned, affine.limit_ambiguous(moved, problem), np.ones(30), Affine()).parameters[
            name
        ]
        assert (abs(found) < 1e-3) if name != "rotation" else (found == pytest.approx(0.02, abs=1e-3))
    assert np.abs(affine.limit_ambiguous(problem.scanned + noise, problem) - problem.scanned - noise).max() < 0.02


def make_scan(**settings):
    """Return a simulated scan, with the error of its positions in pixels, and its object pixel."""
    pixel = simulate(frames=2, detector=128).object_pixel[0]
    wanted = {"frames": 50, "detector": 128, "step": STEP * pixel, "scan": "jitter", "photons": 1e7, "seed": 3}
    scan = simulate(**(wanted | settings | {"position_error": settings.get("position_error", 0) * pixel}))
    return scan, pixel


def error(result, pixel):
    """Return the root mean square error of the positions along an axis in pixels, without a common shift."""
    difference = (result.positions - result.scan.truth.positions)[:, :2] / pixel
    return float(np.sqrt(((difference - difference.mean(0)) ** 2).mean()))


def test_jitter_of_several_pixels_is_corrected_and_a_result_can_be_continued():
    scan, pixel = make_scan(position_error=2.0)
    result = exitwave.reconstruct(scan, iterations=40, position_update=True, threads=1)
    assert error(result, pixel) < 0.5
    assert recompute(result) == pytest.approx(result.errors[-1], rel=1e-3)
    more = exitwave.reconstruct(result, iterations=5, position_update={"schedule": {"start": 0}}, threads=1)
    assert error(more, pixel) < 1.2 * error(result, pixel)
    assert np.array_equal(more.scan.positions, scan.positions)


def test_correct_positions_do_not_move():
    scan, pixel = make_scan()
    result = exitwave.reconstruct(scan, iterations=25, position_update=True, threads=1)
    assert error(result, pixel) < 0.05


def test_true_switches_a_refinement_on_with_default_settings():
    assert make_recipe({"position_update": True}).stages[0].refinement("position_update") == PositionUpdate()
    assert make_recipe({"position_update": False}).stages[0].refinement("position_update") is None


@pytest.mark.parametrize("algorithm", ["DM", "RAAR"])
def test_algorithms_that_keep_exit_waves_are_refused(algorithm):
    with pytest.raises(InputError, match="stores exit waves, so that positions cannot be refined"):
        make_recipe({"algorithm": algorithm, "position_update": True})
    assert make_recipe({"algorithm": algorithm, "position_update": False})


def test_joint_scans_are_refused():
    scan, _ = make_scan(frames=4)
    with pytest.raises(InputError, match="in a joint reconstruction"):
        exitwave.reconstruct([scan, scan], share="probe", position_update=True, iterations=1)
