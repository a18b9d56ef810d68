"""Per-frame parameters (positions, probe factors, OPR modes) in the passes, and the responses to them."""

import numpy as np
import pytest
from problems import double, make_problem, perturb, single
from scipy.ndimage import gaussian_filter

from exitwave.engine.backend import RESPONSES, Line, ProjectionWeights, Step
from exitwave.engine.backends.cpu.passes import CpuBackend
from exitwave.engine.backends.reference.passes import ReferenceBackend


def close(a, b, tolerance=1e-4):
    return np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)


def with_parameters(problem, state, seed=5, opr_modes=2):
    """Give the state positions, probe factors and OPR modes."""
    rng, npos = np.random.default_rng(seed), len(problem.counts)
    state.positions = problem.pixels + rng.uniform(-0.7, 0.7, (npos, 2))
    state.probe_factors = rng.uniform(0.8, 1.2, npos)
    noise = rng.standard_normal((opr_modes, *problem.shape)) + 1j * rng.standard_normal((opr_modes, *problem.shape))
    state.opr_modes = (0.1 * np.abs(state.probe).max() * noise).astype(state.probe.dtype)
    state.opr_weights = rng.standard_normal((npos, opr_modes))
    return state


@pytest.fixture(params=[((16, 16), 1), ((15, 20), 3)], ids=["square", "odd, 3 modes"])
def case(request, build):
    shape, modes = request.param
    problem, truth = make_problem(shape, modes=modes, margin=4)
    state = with_parameters(problem, perturb(truth))
    found = with_parameters(problem, single(state))
    return problem, state, found, build(problem, modes)


def test_sums_and_responses_agree_with_the_reference(case):
    problem, state, found, backend = case
    responses = [np.zeros((len(problem.used), len(RESPONSES) + 2)) for _ in range(2)]
    expected = ReferenceBackend(problem).gather(state, problem.used, responses=responses[0])
    sums = backend.gather(found, problem.used, responses=responses[1])
    for name in ("object", "probe_density", "probe", "object_density", "opr_modes"):
        assert close(getattr(sums, name), getattr(expected, name)), name
    for column, name in enumerate((*RESPONSES, "first", "second")):
        scale = np.abs(responses[0][:, column]).max()
        np.testing.assert_allclose(responses[1][:, column], responses[0][:, column], atol=1e-4 * scale, err_msg=name)
    again = backend.gather(found, problem.used)
    assert close(again.opr_modes, expected.opr_modes)


def test_responses_without_gradients_are_the_same(case):
    problem, _, found, backend = case
    responses = [np.zeros((len(problem.used), len(RESPONSES) + 2)) for _ in range(2)]
    for values, gradients in zip(responses, (True, False), strict=True):
        backend.gather(found, problem.used, responses=values, gradients=gradients)
    kept = [name not in ("yy", "xx", "yx", "y", "x") for name in (*RESPONSES, "first", "second")]
    for column in np.flatnonzero(kept):
        scale = np.abs(responses[0][:, column]).max()
        np.testing.assert_allclose(responses[1][:, column], responses[0][:, column], atol=1e-5 * scale)
    assert responses[0][:, ~np.array(kept)].all()


def test_sums_over_many_pixels_are_as_accurate_as_those_over_few(build):
    problem, truth = make_problem((256, 256), frames=2, modes=2, margin=4)
    state = with_parameters(problem, perturb(truth))
    found = with_parameters(problem, single(state))
    found.opr_modes = state.opr_modes.astype(np.complex64)
    responses = [np.zeros((2, len(RESPONSES) + 2)) for _ in range(2)]
    reference, backend = ReferenceBackend(problem), build(problem, 2)
    reference.gather(state, problem.used, responses=responses[0])
    backend.gather(found, problem.used, responses=responses[1])
    np.testing.assert_allclose(
        responses[1] / np.abs(responses[0]).max(0), responses[0] / np.abs(responses[0]).max(0), atol=1e-5
    )
    line = state.object, state.probe + 0.1 * perturb(state, 8).probe
    expected = reference.cross_term(state, problem.used, *line)
    assert backend.cross_term(found, problem.used, *(each.astype(np.complex64) for each in line)) == pytest.approx(
        expected, rel=1e-5
    )


def test_the_other_passes_agree_with_the_reference(case):
    problem, state, found, backend = case
    reference, frames, rng = ReferenceBackend(problem), problem.used, np.random.default_rng(0)
    line = Line(0.1 * perturb(state, 7).object, 0.1 * perturb(state, 8).probe)
    lengths = np.array([0.0, 0.5])
    expected = reference.line_derivatives(state, line, frames, lengths, "amplitude")
    single_line = Line(*(each.astype(np.complex64) for each in line[:2]))
    assert close(backend.line_derivatives(found, single_line, frames, lengths, "amplitude"), expected)
    waves = rng.standard_normal((len(frames), *state.probe.shape, 2)) @ [1, 1j]
    mine = waves.astype(np.complex64)
    expected = reference.project(state, frames, waves, ProjectionWeights(-0.9, 1.0, 1.9))
    sums = backend.project(found, frames, mine, ProjectionWeights(-0.9, 1.0, 1.9))
    assert close(mine, waves)
    assert close(sums.probe, expected.probe)
    assert close(sums.opr_modes, expected.opr_modes)
    exact = with_parameters(problem, double(state))
    reference.sequential(exact, frames, Step(0.9, 0.3), Step(0.5, 1.0))
    backend.sequential(found, frames, Step(0.9, 0.3), Step(0.5, 1.0))
    assert close(found.object, exact.object)
    assert close(found.probe, exact.probe)


def smooth(problem, state):
    """Remove high frequencies of object and probe, so that the derivatives are exact."""
    state.object = 1 + gaussian_filter(state.object - 1, 2.5, mode="wrap")
    state.probe = gaussian_filter(state.probe, (0, 1.5, 1.5), mode="wrap")
    state.opr_modes = 0.3 * gaussian_filter(state.probe[1:], (0, 1.5, 1.5), mode="wrap")
    return state


@pytest.mark.parametrize("name", ["positions", "probe_factors", "opr_weights"])
def test_responses_are_gradients(name):
    """Compare dL/dx = -2 <dpsi/dx, chi> with finite differences of the reference; L is the sum of the differences."""
    problem, truth = make_problem((32, 32), frames=3, modes=2, margin=4, dtype=np.float32)
    state = with_parameters(problem, perturb(truth, amount=0.1), opr_modes=1)
    state = smooth(problem, state) if name == "positions" else state
    reference, frames = ReferenceBackend(problem), problem.used
    responses = np.zeros((3, len(RESPONSES) + 1))
    reference.gather(state, frames, responses=responses)
    column, index, tolerance = {
        # a move of the window shifts the exit wave too, which changes no intensity in the far field except for aliasing
        "positions": (RESPONSES.index("x"), (..., 1), 5e-3),
        "probe_factors": (RESPONSES.index("gain"), ..., 1e-5),
        "opr_weights": (len(RESPONSES), (..., 0), 1e-5),
    }[name]
    step = 1e-5

    def differences(sign):
        moved, changed = double(state), getattr(state, name).copy()
        changed[index] += sign * step
        for key, value in (state.model_arrays | {name: changed}).items():
            setattr(moved, key, value)
        out = np.zeros_like(responses)
        reference.gather(moved, frames, responses=out)
        return out[:, 0]

    gradients = (differences(1) - differences(-1)) / (2 * step)
    expected = -2 * responses[:, column] / (state.probe_factors if name == "probe_factors" else 1)
    np.testing.assert_allclose(gradients, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def test_windows_at_the_edge_of_the_object_are_refused():
    problem, truth = make_problem()
    found = single(truth)
    found.positions = problem.pixels * 0 + np.array(problem.shape) // 2
    with pytest.raises(Exception, match="two pixels"):
        CpuBackend(problem, 1, 1).gather(found, problem.used, responses=np.zeros((12, len(RESPONSES))))
