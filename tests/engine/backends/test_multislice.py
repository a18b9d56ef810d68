"""Passes through a thick sample: the equations, their adjoints, and the backends against the reference backend."""

from dataclasses import replace

import numpy as np
import pytest
from problems import double, make_problem, on_each_number_of_threads, perturb
from scipy.ndimage import gaussian_filter

from exitwave.engine.backend import RESPONSES, Line, ProjectionWeights, Step
from exitwave.engine.backends.cpu.multislice import MultisliceCpuBackend
from exitwave.engine.backends.reference.multislice import MultisliceReference
from exitwave.engine.backends.reference.passes import ReferenceBackend
from exitwave.engine.model.probe_constraints import ConstraintMemory, ProbeConstraints, constrain
from exitwave.engine.model.slices import split_object
from exitwave.engine.state import MODEL_FIELDS, State
from exitwave.errors import InputError
from exitwave.optics import angular_spectrum, depth_of_focus, numerical_aperture
from exitwave.reconstruction.multislice import make_slices

WAVELENGTH, PIXEL = 1e-10, (1e-8, 1.2e-8)


def close(a, b, tolerance=1e-4):
    return np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)


def thick(shape=(16, 16), modes=1, number=2, *, spacing=8e-6, seed=0, **settings):
    """Return a problem with slices, and a state that is not its solution."""
    problem, truth = make_problem(shape, modes=modes, margin=4, seed=seed, **settings)
    slices = make_slices(number, spacing, shape=shape, wavelength=WAVELENGTH, pixel=PIXEL, aperture=3e-3)
    state = perturb(truth)
    rng = np.random.default_rng(seed + 7)
    state.object = np.stack(
        [state.object, *(np.exp(1j * rng.uniform(-1, 1, state.object.shape)) for _ in range(number - 1))]
    )
    return replace(problem, slices=slices), state


def with_parameters(problem, state):
    """Set all per-frame parameters and the slice spacing of a state, and return it."""
    rng, npos = np.random.default_rng(3), len(problem.counts)
    state.positions = problem.pixels + rng.uniform(-0.7, 0.7, (npos, 2))
    state.probe_factors = rng.uniform(0.8, 1.2, npos)
    noise = rng.standard_normal((1, *problem.shape)) + 1j * rng.standard_normal((1, *problem.shape))
    state.opr_modes = (0.1 * np.abs(state.probe).max() * noise).astype(state.probe.dtype)
    state.opr_weights = rng.standard_normal((npos, 1))
    state.slice_spacing = np.array(1.3)
    return state


def copy(state, dtype=complex):
    """Return a copy of a state in another precision."""
    found = State(state.object.astype(dtype), state.probe.astype(dtype), np.random.default_rng(0))
    for name in MODEL_FIELDS:
        value = getattr(state, name)
        setattr(found, name, value.astype(dtype) if name == "opr_modes" and value is not None else value)
    return found


CASES = [((16, 16), 1, 2), ((15, 20), 3, 2), ((16, 20), 1, 4)]


@pytest.mark.parametrize(("shape", "modes", "number"), CASES)
@on_each_number_of_threads
def test_gather_agrees_with_the_reference(shape, modes, number, build):
    problem, state = thick(shape, modes, number, mask=0.1)
    state = with_parameters(problem, state)
    found, backend = copy(state, np.complex64), build(problem, modes)
    responses = [np.zeros((len(problem.used), len(RESPONSES) + 1)) for _ in range(2)]
    expected = MultisliceReference(problem).gather(state, problem.used, responses=responses[0])
    for _ in range(2):  # the sums of the first pass are cleared
        sums = backend.gather(found, problem.used, responses=responses[1])
        for name in ("object", "probe_density", "probe", "object_density", "opr_modes"):
            assert close(getattr(sums, name), getattr(expected, name)), name
    assert sums.slice_spacing == pytest.approx(expected.slice_spacing, rel=1e-4)
    for column, name in enumerate((*RESPONSES, "OPR mode")):
        scale = np.abs(responses[0][:, column]).max()
        np.testing.assert_allclose(responses[1][:, column], responses[0][:, column], atol=1e-4 * scale, err_msg=name)
    assert sums.misfit == pytest.approx(expected.misfit, rel=1e-4)


@pytest.mark.parametrize("requested", ["object", "probe", None])
@pytest.mark.parametrize("noise", ["amplitude", "Poisson"])
@pytest.mark.parametrize("subpixel", [False, True])
def test_passes_for_one_quantity_agree_with_the_reference(requested, noise, subpixel, build):
    problem, state = thick(modes=2, subpixel=subpixel)
    flags = {name: name == requested for name in ("object", "probe")}
    expected = MultisliceReference(problem).gather(state, problem.used, noise=noise, **flags)
    sums = build(problem, 2).gather(copy(state, np.complex64), problem.used, noise=noise, **flags)
    for name in ("object", "probe_density", "probe", "object_density"):
        assert close(getattr(sums, name), getattr(expected, name)), name
    assert sums.loss == pytest.approx(expected.loss, rel=1e-4)


def test_sequential_agrees_with_the_reference(build):
    problem, state = thick(modes=2)
    found, exact = copy(state, np.complex64), double(state)
    order = problem.used[::-1].copy()
    a = MultisliceReference(problem).sequential(exact, order, Step(0.9, 0.3), Step(0.5, 1.0))
    b = build(problem, 2).sequential(found, order, Step(0.9, 0.3), Step(0.5, 1.0))
    assert close(found.object, exact.object)
    assert close(found.probe, exact.probe)
    assert b == pytest.approx(a, rel=1e-4)


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("quantity", ["object", "probe"])
def test_gather_is_the_gradient_of_the_misfit(quantity, number):
    """The sums are minus half the derivative of sum (sqrt I - sqrt model)^2 with respect to the conjugate."""
    problem, state = thick((12, 14), modes=2, number=number, frames=6, mask=0.1)
    backend = MultisliceReference(problem)
    gradient = -2 * getattr(backend.gather(state, problem.used), quantity)
    rng, h, values = np.random.default_rng(3), 1e-6, []
    direction = rng.standard_normal(gradient.shape) + 1j * rng.standard_normal(gradient.shape)
    for sign in (1, -1):
        moved = double(state)
        getattr(moved, quantity)[:] += sign * h * direction
        values.append(backend.misfit(moved, problem.used).difference)
    slope = (values[0] - values[1]) / (2 * h)
    assert slope == pytest.approx(np.real(np.vdot(gradient, direction)), rel=1e-5)


@pytest.mark.parametrize("name", ["slice_spacing", "probe_factors", "opr_weights"])
def test_responses_are_gradients(name):
    """L is the sum of the differences, and dL/dx = -2 <dpsi/dx, chi>."""
    problem, state = thick((16, 16), frames=3, modes=2, number=3, dtype=np.float32)
    state, backend, step = with_parameters(problem, state), MultisliceReference(problem), 1e-5
    responses = np.zeros((3, len(RESPONSES) + 1))
    sums = backend.gather(state, problem.used, responses=responses)

    def differences(sign):
        moved, out = copy(state), np.zeros_like(responses)
        setattr(moved, name, getattr(state, name) + sign * step)
        backend.gather(moved, problem.used, responses=out)
        return out[:, 0]

    gradients = (differences(1) - differences(-1)) / (2 * step)
    if name == "slice_spacing":
        assert gradients.sum() == pytest.approx(-2 * sums.slice_spacing, rel=1e-5)
        return
    expected = -2 * (responses[:, 7] / state.probe_factors if name == "probe_factors" else responses[:, -1])
    np.testing.assert_allclose(gradients, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_positions_move_all_slices_together():
    problem, state = thick((32, 32), frames=3, number=3, dtype=np.float32)
    state.object = 1 + gaussian_filter(state.object - 1, (0, 2.5, 2.5), mode="wrap")
    state.probe = gaussian_filter(state.probe, (0, 1.5, 1.5), mode="wrap")
    state.positions = problem.pixels.astype(float)
    backend, step, responses = MultisliceReference(problem), 1e-5, np.zeros((3, len(RESPONSES)))
    backend.gather(state, problem.used, responses=responses)

    def differences(sign):
        moved, out = copy(state), np.zeros_like(responses)
        moved.positions = state.positions + sign * step * np.array([0, 1])
        backend.gather(moved, problem.used, responses=out)
        return out[:, 0]

    gradients, expected = (differences(1) - differences(-1)) / (2 * step), -2 * responses[:, RESPONSES.index("x")]
    np.testing.assert_allclose(gradients, expected, rtol=5e-3, atol=5e-3 * np.abs(expected).max())


def test_slices_at_distance_zero_are_their_product():
    problem, state = thick(modes=2, number=3)
    state.slice_spacing = np.array(0.0)
    thin = double(state)
    thin.object = state.object.prod(0)
    a = MultisliceReference(problem).gather(state, problem.used)
    b = ReferenceBackend(replace(problem, slices=None)).gather(thin, problem.used)
    assert a.misfit == pytest.approx(b.misfit)
    assert close(a.probe, b.probe, 1e-9)
    assert close(a.object[0] * state.object[0].conj(), b.object * thin.object.conj(), 1e-9)


def test_an_empty_slice_only_propagates():
    """With an empty first slice, the wave at the second is the propagated probe."""
    problem, state = thick(modes=1, number=2)
    state.object[0] = 1
    moved, thin = double(state), replace(problem, slices=None)
    moved.object = state.object[1]
    moved.probe = angular_spectrum(state.probe, 8e-6, WAVELENGTH, PIXEL)
    a = MultisliceReference(problem).gather(state, problem.used)
    b = ReferenceBackend(thin).gather(moved, problem.used)
    assert a.misfit == pytest.approx(b.misfit)
    assert close(a.object[1], b.object, 1e-9)
    assert close(a.probe_density[1], b.probe_density, 1e-9)


def test_passes_that_need_a_wave_linear_in_the_object_are_refused():
    problem, state = thick()
    found, frames = copy(state, np.complex64), problem.used
    for backend in (MultisliceCpuBackend(problem, 1, 1), MultisliceReference(problem)):
        for call in (
            lambda s: s.cross_term(found, frames, found.object, found.probe),
            lambda s: s.line_derivatives(found, Line(found.object, found.probe), frames, np.zeros(1), "amplitude"),
            lambda s: s.project(found, frames, found.probe, ProjectionWeights(0, 1, 1)),
        ):
            with pytest.raises(InputError, match="for example mPIE"):
                call(backend)


def test_split_gives_slices_of_the_same_product():
    rng = np.random.default_rng(0)
    obj = (rng.uniform(0.5, 1.5, (6, 7)) * np.exp(1j * (2.5 + rng.uniform(-1, 1, (6, 7))))).astype(np.complex64)
    found = split_object(obj, 3)
    assert found.shape == (3, 6, 7)
    assert close(found.prod(0), obj, 1e-5)
    assert np.abs(np.angle(found[0] / found[0].mean())).max() < 0.5  # no jumps where the phase wraps


def test_slices_too_far_apart_are_refused():
    with pytest.raises(InputError, match="slice_spacing"):
        make_slices(2, 1e-3, shape=(16, 16), wavelength=WAVELENGTH, pixel=PIXEL, aperture=1e-3)


def test_depth_of_focus_of_a_disc():
    y, x = np.meshgrid(np.arange(64) - 32, np.arange(64) - 32, indexing="ij")
    disc = 1e3 * (np.hypot(y, x) <= 20) + 1.0
    aperture = numerical_aperture(disc, (1e-4, 1e-4))
    assert aperture == pytest.approx(20e-4, rel=0.02)
    assert depth_of_focus(1e-10, aperture) == pytest.approx(25e-6, rel=0.05)


def test_constraints_of_the_probe_leave_the_model_as_it_is():
    problem, state = thick(modes=2, number=3, dtype=np.float32, subpixel=False)
    ramp = np.exp(2j * np.pi * np.arange(state.object.shape[-1]) * 2 / 16)
    state.object[0] = (2 + state.object[0]) * ramp
    before = MultisliceReference(problem).misfit(state, problem.used)
    probe = state.probe.copy()
    constrain(state, problem, ProbeConstraints(ramp=True, power=True), ConstraintMemory(), with_object=True)
    assert not close(state.probe, probe, 0.1)
    assert MultisliceReference(problem).misfit(state, problem.used).difference == pytest.approx(before.difference)
