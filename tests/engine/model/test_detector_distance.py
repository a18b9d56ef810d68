"""Refinement of the detector distance: gradient, value in metres in a result, and recovery of a wrong distance."""

from dataclasses import replace

import numpy as np
import pytest
from problems import double, make_near, make_problem, model, perturb
from scipy.ndimage import gaussian_filter

import exitwave
from exitwave.analysis.error import recompute
from exitwave.analysis.summary import summarise
from exitwave.analysis.summary_text import format_summary
from exitwave.engine.backends.reference.passes import ReferenceBackend
from exitwave.engine.model import detector_distance
from exitwave.engine.model.detector_distance import DistanceUpdate
from exitwave.engine.model.responses import RecordingBackend
from exitwave.errors import InputError
from exitwave.frames import Frames
from exitwave.simulation import simulate


def make_case(relative_error=0.0):
    """Return a problem with smooth object and probe, and its state with wrongly scaled positions."""
    problem, state = make_problem((32, 32), frames=30, margin=4, dtype=np.float32)
    state.object = 1 + 3 * gaussian_filter(state.object - 1, 2.0, mode="wrap")
    state.probe = gaussian_filter(state.probe, (0, 1.5, 1.5), mode="wrap")
    problem = replace(problem, counts=model(problem, state).astype(np.float32))
    state.positions = scaled(problem, 1 + relative_error)
    return problem, state


def scaled(problem, factor):
    """Return the positions of the scan, scaled about their centre."""
    return detector_distance.scan_centre(problem) + factor * (problem.scanned - detector_distance.scan_centre(problem))


def test_the_numerator_of_the_step_is_the_gradient():
    """Compare dL/ds = -2 sum <dpsi/ds, chi> with finite differences of the reference."""
    problem, truth = make_case()
    state = perturb(truth, amount=0.0)
    state.object *= 1 + 0.1 * gaussian_filter(np.random.default_rng(1).standard_normal(state.object.shape), 2.5)
    backend, step = ReferenceBackend(problem), 1e-5

    def loss(factor):
        moved = double(state)
        moved.positions = scaled(problem, factor)
        return backend.gather(moved, problem.used, object=False, probe=False).loss

    state.positions = scaled(problem, 1.0)
    responses = RecordingBackend(backend, state).complete(state)
    y, x = (state.positions - detector_distance.scan_centre(problem)).T
    gradient = -2 * (y * responses.response("y") + x * responses.response("x")).sum()
    # a move of the window shifts the exit wave too, which changes no intensity in the far field except for aliasing
    assert gradient == pytest.approx((loss(1 + step) - loss(1 - step)) / (2 * step), rel=5e-3)
    curvature = (
        y**2 * responses.response("yy") + 2 * y * x * responses.response("yx") + x**2 * responses.response("xx")
    ).sum()
    assert detector_distance.scale_step(state.positions, responses, problem) == pytest.approx(-gradient / 2 / curvature)


@pytest.mark.parametrize("relative_error", [-0.02, 0.02])
def test_steps_with_the_true_object_and_probe_correct_the_scale(relative_error):
    problem, state = make_case(relative_error)
    settings, memory = DistanceUpdate(momentum=0, step=3), detector_distance.DistanceMemory()
    detector_distance.initialise(state, problem, settings)
    for _ in range(6):
        responses = RecordingBackend(ReferenceBackend(problem), state).complete(state)
        detector_distance.update(state, responses, settings, problem, memory)
    assert float(state.distance) == pytest.approx(1, abs=1e-3)
    assert np.abs(state.positions - problem.scanned).max() < 0.02


def test_positions_stay_inside_the_object_and_are_scaled_by_one_factor():
    problem, state = make_case()
    assert detector_distance.largest_factor(state.positions, problem) >= 1

    class Responses:
        def response(self, name):
            y, x = (problem.scanned - detector_distance.scan_centre(problem)).T
            return {"y": y, "x": x, "yx": 0 * y}.get(name, np.ones(30))  # all outwards

    memory = detector_distance.DistanceMemory()
    detector_distance.initialise(state, problem, DistanceUpdate())
    for _ in range(50):
        detector_distance.update(state, Responses(), DistanceUpdate(), problem, memory)
        problem.windows(state.positions)
    assert np.abs(state.positions - scaled(problem, 1 / float(state.distance))).max() < 1e-6


def test_the_near_field_and_joint_scans_are_refused():
    problem, state = make_problem((16, 16))
    with pytest.raises(InputError, match="far field"):
        detector_distance.initialise(state, make_near(problem, state), DistanceUpdate())
    scan = simulate(frames=4, detector=128)
    with pytest.raises(InputError, match="in a joint reconstruction"):
        exitwave.reconstruct([scan, scan], share="probe", distance_update=True, iterations=1)


@pytest.fixture(scope="module")
def wrong():
    """Return a scan whose stored distance is 2 % too long."""
    scan = simulate(frames=60, detector=128, photons=1e7, seed=3)
    scan = replace(scan, patterns=Frames(scan.patterns[:]))
    return replace(scan, detector=replace(scan.detector, distance=1.02 * scan.detector.distance))


def test_a_wrong_distance_is_corrected_with_a_known_probe_and_stored_in_metres(wrong, tmp_path):
    settings = {"iterations": 30, "probe_update": {"enabled": False}, "threads": 1}
    result = exitwave.reconstruct(wrong, distance_update={"schedule": {"start": 3}}, **settings)
    true = wrong.detector.distance / 1.02
    assert float(result.model["distance"]) == pytest.approx(true, rel=2e-3)
    assert result.errors[-1] < 0.7 * exitwave.reconstruct(wrong, **settings).errors[-1]
    result.save(tmp_path / "a.cxi")
    again = exitwave.open(tmp_path / "a.cxi")
    assert again.scan.detector.distance == float(again.model["distance"]) == float(result.model["distance"])
    assert again.object_pixel == pytest.approx(again.scan.object_pixel, rel=1e-9)
    assert np.abs(again.positions - wrong.positions).max() < 1e-3 * again.object_pixel[0]
    assert recompute(again) == pytest.approx(result.errors[-1], rel=1e-3)
    assert summarise(again)["result"]["assumed_distance"] == wrong.detector.distance
    assert "refined from" in format_summary(summarise(again))["detector"]
    assert "positions" not in format_summary(summarise(again))
    for more in (exitwave.reconstruct(again, iterations=2, threads=1, distance_update=on) for on in (False, True)):
        assert float(more.model["distance"]) == pytest.approx(float(again.model["distance"]), rel=1e-3)
        assert float(more.model["assumed_distance"]) == wrong.detector.distance
        assert more.object_pixel == pytest.approx(more.scan.object_pixel, rel=1e-9)
        assert more.errors[-1] < 1.5 * result.errors[-1]
        assert recompute(more) == pytest.approx(more.errors[-1], rel=1e-3)
