"""Beam pointing: agreement of the backends, the response as a gradient, and the recovery of the pointing."""

import numpy as np
import pytest
from problems import double, make_problem, perturb, single

import exitwave
from exitwave.analysis.error import recompute
from exitwave.engine.backend import RESPONSES, Line, ProjectionWeights, Step
from exitwave.engine.backends.reference.passes import ReferenceBackend
from exitwave.engine.model.curvature import SAMPLE, mean_curvature
from exitwave.errors import InputError
from exitwave.simulation import simulate


def close(a, b, tolerance=1e-4):
    return np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)


def with_pointing(problem, state, *, subpixel=True):
    """Give every frame a pointing and, at sub-pixel positions, add one OPR mode."""
    rng, npos = np.random.default_rng(5), len(problem.counts)
    state.pointing = rng.uniform(-1.5, 1.5, (npos, 2))
    if subpixel:
        noise = rng.standard_normal((1, *problem.shape)) + 1j * rng.standard_normal((1, *problem.shape))
        state.opr_modes = (0.1 * np.abs(state.probe).max() * noise).astype(state.probe.dtype)
        state.opr_weights = rng.standard_normal((npos, 1))
    return state


@pytest.fixture(params=[((16, 16), 1, False), ((15, 20), 3, True)], ids=["whole pixels", "odd, 3 modes"])
def case(request, build):
    shape, modes, subpixel = request.param
    problem, truth = make_problem(shape, modes=modes, margin=4, subpixel=subpixel)
    state = with_pointing(problem, perturb(truth), subpixel=subpixel)
    found = with_pointing(problem, single(state), subpixel=subpixel)
    return problem, state, found, build(problem, modes)


def test_pointing_shifts_the_pattern_to_higher_indices():
    problem, state = make_problem((16, 20), frames=1)
    reference = ReferenceBackend(problem)
    wave = reference.model_frame(state, 0)[1] * state.object[reference.model_frame(state, 0)[0]]
    state.pointing = np.array([[2.0, -3.0]])
    moved = reference.model_frame(state, 0)[1] * state.object[reference.model_frame(state, 0)[0]]
    patterns = [np.abs(np.fft.fft2(each)) for each in (wave, moved)]
    assert patterns[1] == pytest.approx(np.roll(patterns[0], (2, -3), (-2, -1)))


def test_the_passes_agree_with_the_reference(case):
    problem, state, found, backend = case
    reference, frames = ReferenceBackend(problem), problem.used
    extra = 2 + (0 if state.opr_modes is None else 1)
    responses = [np.zeros((len(frames), len(RESPONSES) + extra)) for _ in range(2)]
    expected = reference.gather(state, frames, responses=responses[0])
    sums = backend.gather(found, frames, responses=responses[1])
    for name in ("object", "probe_density", "probe", "object_density"):
        assert close(getattr(sums, name), getattr(expected, name)), name
    for column in range(responses[0].shape[1]):
        scale = np.abs(responses[0][:, column]).max()
        np.testing.assert_allclose(
            responses[1][:, column], responses[0][:, column], atol=1e-4 * scale, err_msg=str(column)
        )
    line = Line(0.1 * perturb(state, 7).object, 0.1 * perturb(state, 8).probe)
    single_line, lengths = Line(*(each.astype(np.complex64) for each in line[:2])), np.array([0.0, 0.5])
    expected_slopes = reference.line_derivatives(state, line, frames, lengths, "amplitude")
    assert close(backend.line_derivatives(found, single_line, frames, lengths, "amplitude"), expected_slopes)
    waves = np.random.default_rng(0).standard_normal((len(frames), *state.probe.shape, 2)) @ [1, 1j]
    mine = waves.astype(np.complex64)
    expected = reference.project(state, frames, waves, ProjectionWeights(-0.9, 1.0, 1.9))
    sums = backend.project(found, frames, mine, ProjectionWeights(-0.9, 1.0, 1.9))
    assert close(mine, waves)
    assert close(sums.object, expected.object)
    assert close(sums.probe, expected.probe)
    exact = with_pointing(problem, double(state), subpixel=state.opr_modes is not None)
    reference.sequential(exact, frames, Step(0.9, 0.3), Step(0.5, 1.0))
    backend.sequential(found, frames, Step(0.9, 0.3), Step(0.5, 1.0))
    assert close(found.object, exact.object)
    assert close(found.probe, exact.probe)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_response_is_a_gradient(axis):
    """Compare dL/dt = -2 <dpsi/dt, chi> with finite differences of the reference."""
    problem, truth = make_problem((15, 16), frames=3, modes=2, margin=4, dtype=np.float32)
    state = with_pointing(problem, perturb(truth, amount=0.1), subpixel=False)
    reference, responses = ReferenceBackend(problem), np.zeros((3, len(RESPONSES) + 2))
    reference.gather(state, problem.used, responses=responses)

    def differences(step):
        moved, out = double(state), np.zeros_like(responses)
        moved.pointing = state.pointing + step * np.eye(2)[axis]
        reference.gather(moved, problem.used, responses=out)
        return out[:, 0]

    gradients = (differences(1e-5) - differences(-1e-5)) / 2e-5
    np.testing.assert_allclose(gradients, -2 * responses[:, len(RESPONSES) + axis], rtol=1e-5)


def test_the_curvature_is_the_second_derivative_of_the_misfit():
    problem, state = make_problem((16, 18), frames=4, modes=2, subpixel=False, dtype=np.float32)
    reference, change = ReferenceBackend(problem), perturb(state, 3).probe - state.probe
    frames = np.random.default_rng(0).integers(4, size=SAMPLE)  # the frames that a new generator chooses
    state.rng = np.random.default_rng(0)
    curvature = mean_curvature(state, problem, lambda window: change[None] * window)
    values = []
    for t in (-1e-3, 0, 1e-3):
        moved = double(state)
        moved.probe = state.probe + t * change
        values.append(reference.gather(moved, frames).misfit.difference)
    responses = np.zeros((SAMPLE, len(RESPONSES)))
    reference.gather(state, frames, responses=responses)
    power = responses[:, RESPONSES.index("power")].sum()
    second = (values[0] - 2 * values[1] + values[2]) / 1e-6
    assert curvature[0, 0] == pytest.approx(second / 2 / power, rel=1e-2)


def test_the_pointing_of_the_beam_is_refined_and_the_object_improves(tmp_path):
    scan = simulate(detector=128, frames=100, photons=2e6, pointing=0.5, seed=3)
    settings = {"iterations": 25, "threads": 1}
    not_refined = exitwave.reconstruct(scan, **settings)
    found = exitwave.reconstruct(scan, pointing_update=True, **settings)
    error = found.model["pointing"] - scan.truth.model["pointing"]
    assert np.median(np.abs(error - error.mean(0))) < 0.05
    assert exitwave.compare(found).error < 0.7 * exitwave.compare(not_refined).error
    found.save(tmp_path / "found.cxi")
    assert recompute(exitwave.open(tmp_path / "found.cxi")) == pytest.approx(found.errors[-1], rel=1e-4)


def test_the_near_field_is_refused():
    scan = simulate("near-field", frames=4)
    with pytest.raises(InputError, match="far field only"):
        exitwave.reconstruct(scan, pointing_update=True, iterations=1)
