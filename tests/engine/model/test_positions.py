"""Positions: one step finds a move, positions stay inside, and a reconstruction recovers jitter and distortion."""

import dataclasses

import numpy as np
import pytest
from problems import double, make_problem, single
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
    """A problem whose object has detail of some pixels, with frames without noise, and its state."""
    from problems import model

    problem, state = make_problem((32, 32), frames=30, margin=4, dtype=np.float32)
    state.object = 1 + 3 * gaussian_filter(state.object - 1, 2.0, mode="wrap")
    state.probe = gaussian_filter(state.probe, (0, 1.5, 1.5), mode="wrap")
    return dataclasses.replace(problem, counts=model(problem, state).astype(np.float32)), state


def step(problem, state, backend, **settings):
    """Refine the positions once, with object and probe as they are."""
    settings = PositionUpdate(momentum=0, search=False, **settings)
    positions.initialise(state, problem, settings)
    before = state.positions
    positions.update(
        state, RecordingBackend(backend, state).complete(state), settings, problem, positions.PositionMemory()
    )
    return state.positions - before


@pytest.mark.parametrize("build", ["reference", "cpu"])
def test_one_step_returns_most_of_a_move_with_its_sign(build):
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


def test_exact_positions_stay_and_frames_that_see_nothing_too():
    problem, truth = smooth_case()
    assert np.abs(step(problem, double(truth), ReferenceBackend(problem))).max() < 1e-4
    flat = double(truth)
    flat.object[:] = 1
    assert np.abs(step(problem, flat, ReferenceBackend(problem))).max() < 1e-9


def test_no_frame_goes_far_beyond_the_others_or_the_largest_step():
    problem, truth = smooth_case()
    state = double(truth)
    state.positions = problem.pixels + np.random.default_rng(0).normal(0, 0.3, (30, 2))
    told = RecordingBackend(ReferenceBackend(problem), state).complete(state)
    assert np.hypot(*positions.moves(told, 4.0, 0.05).T).max() == pytest.approx(0.05)


def test_positions_stay_where_their_windows_are_inside_the_object():
    problem, _ = make_problem((16, 18))
    far = problem.pixels + np.array([100.0, -100.0])
    corners, _ = dataclasses.replace(problem, pixels=positions.inside(far, problem)).windows()
    assert (corners == np.array([problem.object_shape[0] - 18, 2])).all()


def test_the_scans_positions_stay_known_on_coarse_grids():
    problem, _ = make_problem((64, 64))
    nominal = problem.pixels + 0.5
    small = coarse.crop(dataclasses.replace(problem, nominal=nominal), 2)
    assert np.allclose(small.scanned, nominal / 2)


@pytest.mark.parametrize("name", ["scale", "asymmetry", "rotation", "shear"])
def test_an_affine_fit_finds_what_is_free_and_nothing_else(name):
    rng = np.random.default_rng(0)
    nominal = rng.uniform(0, 200, (80, 2))
    about = nominal - nominal.mean(0)
    moved = nominal + 3 + 0.01 * about @ affine._BASIS[name].T
    moved[5] += 30  # lost
    one = Affine(**{each: each == name for each in affine._BASIS})
    found = affine.fit(nominal, moved, np.ones(80), one)
    assert found.parameters == {name: pytest.approx(0.01, abs=2e-4)}
    assert np.abs(np.delete(found.positions - moved, 5, axis=0)).max() < 0.05
    others = Affine(**{each: each != name for each in affine._BASIS})
    assert np.abs(list(affine.fit(nominal, moved, np.ones(80), others).parameters.values())).max() < 5e-3


def test_what_hides_in_the_probe_is_bounded_by_the_errors_of_single_frames():
    problem, _ = make_problem((32, 32), frames=30)
    about = problem.scanned - problem.scanned.mean(0)
    noise = np.random.default_rng(1).normal(0, 0.01, (30, 2))
    for name, basis in affine._BASIS.items():
        moved = problem.scanned + 0.02 * about @ basis.T + noise
        found = affine.fit(problem.scanned, affine.bounded(moved, problem), np.ones(30), Affine()).parameters[name]
        assert (abs(found) < 1e-3) if name != "rotation" else (found == pytest.approx(0.02, abs=1e-3))
    assert np.abs(affine.bounded(problem.scanned + noise, problem) - problem.scanned - noise).max() < 0.02


def make(**settings):
    pixel = simulate(frames=2, detector=128).object_pixel[0]
    wanted = {"frames": 50, "detector": 128, "step": STEP * pixel, "scan": "jitter", "photons": 1e7, "seed": 3}
    scan = simulate(**(wanted | settings | {"position_error": settings.get("position_error", 0) * pixel}))
    return scan, pixel


def error(result, pixel):
    """Root mean square along an axis of what positions are off in pixels, but for a shift of all."""
    off = (result.positions - result.scan.truth.positions)[:, :2] / pixel
    return float(np.sqrt(((off - off.mean(0)) ** 2).mean()))


def test_jitter_of_several_pixels_is_recovered_and_a_result_goes_on():
    scan, pixel = make(position_error=2.0)
    result = exitwave.reconstruct(scan, iterations=40, position_update=True, threads=1)
    assert error(result, pixel) < 0.5
    assert recompute(result) == pytest.approx(result.errors[-1], rel=1e-3)
    more = exitwave.reconstruct(result, iterations=5, position_update={"schedule": {"start": 0}}, threads=1)
    assert error(more, pixel) < 1.2 * error(result, pixel)
    assert np.array_equal(more.scan.positions, scan.positions)


def test_good_positions_stay():
    scan, pixel = make()
    result = exitwave.reconstruct(scan, iterations=25, position_update=True, threads=1)
    assert error(result, pixel) < 0.05


def test_settings_are_switched_on_with_a_word():
    assert make_recipe({"position_update": True}).stages[0].refinement("position_update") == PositionUpdate()
    assert make_recipe({"position_update": False}).stages[0].refinement("position_update") is None


@pytest.mark.parametrize("algorithm", ["DM", "RAAR"])
def test_algorithms_that_keep_the_waves_of_old_positions_are_refused(algorithm):
    with pytest.raises(InputError, match="keeps the waves of the old positions"):
        make_recipe({"algorithm": algorithm, "position_update": True})
    assert make_recipe({"algorithm": algorithm, "position_update": False})


def test_scans_that_share_something_are_not_refined():
    scan, _ = make(frames=4)
    with pytest.raises(InputError, match="share"):
        exitwave.reconstruct([scan, scan], share="probe", position_update=True, iterations=1)
