"""What a frame has of its own: scale and variations of the probe, and what it tells of them and of its position."""

import numpy as np
import pytest
from problems import double, make_problem, perturb, single

from exitwave.engine.backends.cpu.passes import CpuSweeps
from exitwave.engine.backends.reference.passes import ReferenceSweeps
from exitwave.engine.state import RESPONSES, Line, Step, Weights


def close(a, b, tolerance=1e-4):
    return np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)


def own(problem, state, seed=5, variations=2):
    """Give the state positions, scales and variations."""
    rng, npos = np.random.default_rng(seed), len(problem.stack)
    state.positions = problem.pixels + rng.uniform(-0.7, 0.7, (npos, 2))
    state.scales = rng.uniform(0.8, 1.2, npos)
    noise = rng.standard_normal((variations, *problem.shape)) + 1j * rng.standard_normal((variations, *problem.shape))
    state.variations = (0.1 * np.abs(state.probe).max() * noise).astype(state.probe.dtype)
    state.weights = rng.standard_normal((npos, variations))
    return state


@pytest.fixture(params=[((16, 16), 1), ((15, 20), 3)], ids=["square", "odd, 3 modes"])
def case(request, backend):
    shape, modes = request.param
    problem, truth = make_problem(shape, modes=modes, margin=4)
    state = own(problem, perturb(truth))
    found = own(problem, single(state))
    return problem, state, found, backend(problem, modes)


def test_gather_and_the_responses_agree_with_the_reference(case):
    problem, state, found, sweeps = case
    told = [np.zeros((len(problem.used), len(RESPONSES) + 2)) for _ in range(2)]
    expected = ReferenceSweeps(problem).gather(state, problem.used, responses=told[0])
    sums = sweeps.gather(found, problem.used, responses=told[1])
    for name in ("object", "illumination", "probe", "transmission", "variations"):
        assert close(getattr(sums, name), getattr(expected, name)), name
    for column, name in enumerate((*RESPONSES, "first", "second")):
        scale = np.abs(told[0][:, column]).max()
        np.testing.assert_allclose(told[1][:, column], told[0][:, column], atol=1e-4 * scale, err_msg=name)
    again = sweeps.gather(found, problem.used)
    assert close(again.variations, expected.variations)


def test_frames_may_leave_out_what_needs_derivatives(case):
    problem, _, found, sweeps = case
    told = [np.zeros((len(problem.used), len(RESPONSES) + 2)) for _ in range(2)]
    for each, slopes in zip(told, (True, False), strict=True):
        sweeps.gather(found, problem.used, responses=each, slopes=slopes)
    kept = [name not in ("yy", "xx", "yx", "y", "x") for name in (*RESPONSES, "first", "second")]
    for column in np.flatnonzero(kept):
        scale = np.abs(told[0][:, column]).max()
        np.testing.assert_allclose(told[1][:, column], told[0][:, column], atol=1e-5 * scale)
    assert told[0][:, ~np.array(kept)].all()


def test_sums_over_many_pixels_are_as_good_as_those_over_few(backend):
    problem, truth = make_problem((256, 256), frames=2, modes=2, margin=4)
    state = own(problem, perturb(truth))
    found = own(problem, single(state))
    found.variations = state.variations.astype(np.complex64)
    told = [np.zeros((2, len(RESPONSES) + 2)) for _ in range(2)]
    reference, sweeps = ReferenceSweeps(problem), backend(problem, 2)
    reference.gather(state, problem.used, responses=told[0])
    sweeps.gather(found, problem.used, responses=told[1])
    np.testing.assert_allclose(told[1] / np.abs(told[0]).max(0), told[0] / np.abs(told[0]).max(0), atol=1e-5)
    line = state.object, state.probe + 0.1 * perturb(state, 8).probe
    expected = reference.crossing(state, problem.used, *line)
    assert sweeps.crossing(found, problem.used, *(each.astype(np.complex64) for each in line)) == pytest.approx(
        expected, rel=1e-5
    )


def test_the_other_passes_agree_with_the_reference(case):
    problem, state, found, sweeps = case
    reference, frames, rng = ReferenceSweeps(problem), problem.used, np.random.default_rng(0)
    line = Line(0.1 * perturb(state, 7).object, 0.1 * perturb(state, 8).probe)
    lengths = np.array([0.0, 0.5])
    expected = reference.along(state, line, frames, lengths, "amplitude")
    single_line = Line(*(each.astype(np.complex64) for each in line[:2]))
    assert close(sweeps.along(found, single_line, frames, lengths, "amplitude"), expected)
    waves = rng.standard_normal((len(frames), *state.probe.shape, 2)) @ [1, 1j]
    mine = waves.astype(np.complex64)
    expected = reference.project(state, frames, waves, Weights(-0.9, 1.0, 1.9))
    sums = sweeps.project(found, frames, mine, Weights(-0.9, 1.0, 1.9))
    assert close(mine, waves)
    assert close(sums.probe, expected.probe)
    assert close(sums.variations, expected.variations)
    exact = own(problem, double(state))
    reference.sequential(exact, frames, Step(0.9, 0.3), Step(0.5, 1.0))
    sweeps.sequential(found, frames, Step(0.9, 0.3), Step(0.5, 1.0))
    assert close(found.object, exact.object)
    assert close(found.probe, exact.probe)


def smooth(problem, state):
    """The state with its object and probe without high frequencies, so that its derivatives are exact."""
    from scipy.ndimage import gaussian_filter

    state.object = 1 + gaussian_filter(state.object - 1, 2.5, mode="wrap")
    state.probe = gaussian_filter(state.probe, (0, 1.5, 1.5), mode="wrap")
    state.variations = 0.3 * gaussian_filter(state.probe[1:], (0, 1.5, 1.5), mode="wrap")
    return state


@pytest.mark.parametrize("name", ["positions", "scales", "weights"])
def test_responses_are_gradients(name):
    """Against finite differences in the reference: L is the sum of the differences, and dL/dx = -2 <dpsi/dx, chi>."""
    problem, truth = make_problem((32, 32), frames=3, modes=2, margin=4, dtype=np.float32)
    state = own(problem, perturb(truth, amount=0.1), variations=1)
    state = smooth(problem, state) if name == "positions" else state
    reference, frames = ReferenceSweeps(problem), problem.used
    told = np.zeros((3, len(RESPONSES) + 1))
    reference.gather(state, frames, responses=told)
    column, place, tolerance = {
        # moving the window moves the exit wave too, which the far field does not show: what is left is aliasing
        "positions": (RESPONSES.index("x"), (..., 1), 5e-3),
        "scales": (RESPONSES.index("gain"), ..., 1e-5),
        "weights": (len(RESPONSES), (..., 0), 1e-5),
    }[name]
    step = 1e-5

    def differences(sign):
        moved, changed = double(state), getattr(state, name).copy()
        changed[place] += sign * step
        for key, value in (state.own | {name: changed}).items():
            setattr(moved, key, value)
        out = np.zeros_like(told)
        reference.gather(moved, frames, responses=out)
        return out[:, 0]

    slopes = (differences(1) - differences(-1)) / (2 * step)
    expected = -2 * told[:, column] / (state.scales if name == "scales" else 1)
    np.testing.assert_allclose(slopes, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def test_windows_at_the_edge_of_the_object_are_refused():
    problem, truth = make_problem()
    found = single(truth)
    found.positions = problem.pixels * 0 + np.array(problem.shape) // 2
    with pytest.raises(Exception, match="two pixels"):
        CpuSweeps(problem, 1, 1).gather(found, problem.used, responses=np.zeros((12, len(RESPONSES))))
