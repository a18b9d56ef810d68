"""The Triton kernels, run by the interpreter, against plain code and the reference; and their compilation."""

import os
import subprocess
import sys
from importlib import util

import numpy as np
import pytest
from problems import GPU, Build, double, make_problem, perturb, single
from test_fly_scan import with_exposures
from test_multislice import copy, thick
from test_multislice import with_parameters as with_slice_parameters
from test_responses import with_parameters

from exitwave.engine.backend import RESPONSES, ProjectionWeights, Step
from exitwave.engine.backends.reference.multislice import MultisliceReference
from exitwave.engine.backends.reference.passes import ReferenceBackend

if not GPU:  # with a GPU, the tests of the passes run the kernels on it
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before the kernels are imported
pytestmark = pytest.mark.skipif(GPU, reason="with a GPU, the tests of the passes run the kernels")
NAMES = "object", "probe_density", "probe", "object_density"


def close(a, b, tolerance=1e-4):
    return np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)


@pytest.fixture
def fused(monkeypatch):
    """Return a function that makes a backend with the fused kernels."""
    if util.find_spec("torch") is None or util.find_spec("triton") is None:
        pytest.skip("PyTorch or Triton is not installed; pip install -e '.[cuda]'")
    from exitwave.engine.backends.cuda import fused as module
    from exitwave.engine.backends.cuda import kernels

    monkeypatch.setattr(module, "_for_device", lambda _: True)
    monkeypatch.setattr(kernels, "BLOCK", 256)  # a frame has two blocks, and the last one is not full
    return Build("torch-cpu")


CASES = [
    ((16, 16), 1, "amplitude", np.uint16),
    ((15, 20), 2, "intensity", np.float32),
    ((15, 20), 2, "Poisson", np.uint16),
]


@pytest.mark.parametrize(("shape", "modes", "noise", "dtype"), CASES)
def test_gather_agrees_with_the_reference(shape, modes, noise, dtype, fused):
    problem, truth = make_problem(shape, frames=6, modes=modes, mask=0.1, dtype=dtype)
    state, found = perturb(truth), single(perturb(truth))
    expected = ReferenceBackend(problem).gather(state, problem.used, noise=noise)
    sums = fused(problem, modes).gather(found, problem.used, noise=noise)
    for name in NAMES:
        assert close(getattr(sums, name), getattr(expected, name)), name
    assert sums.loss == pytest.approx(expected.loss, rel=1e-4)
    assert sums.misfit == pytest.approx(expected.misfit, rel=1e-4)


def test_per_frame_parameters_agree_with_the_reference(fused):
    problem, truth = make_problem((15, 20), frames=6, modes=2, margin=4)
    state = with_parameters(problem, perturb(truth))
    found = with_parameters(problem, single(state))
    rng = np.random.default_rng(2)
    state.pointing = found.pointing = rng.uniform(-0.4, 0.4, (len(problem.counts), 2))
    responses = [np.zeros((len(problem.used), len(RESPONSES) + 4)) for _ in range(2)]
    expected = ReferenceBackend(problem).gather(state, problem.used, responses=responses[0])
    sums = fused(problem, 2).gather(found, problem.used, responses=responses[1])
    for name in (*NAMES, "opr_modes"):
        assert close(getattr(sums, name), getattr(expected, name)), name
    for column in range(responses[0].shape[1]):
        column_expected, column_found = (each[:, column] for each in responses)
        np.testing.assert_allclose(column_found, column_expected, atol=1e-4 * np.abs(column_expected).max())


@pytest.mark.parametrize("near", [False, True], ids=["far", "near"])
def test_a_fly_scan_agrees_with_the_reference(near, fused):
    problem, truth = make_problem((16, 16), frames=3, margin=5)
    problem = with_exposures(problem, truth, near=near)
    expected = ReferenceBackend(problem).gather(perturb(truth), problem.used)
    sums = fused(problem, 1).gather(single(perturb(truth)), problem.used)
    for name in NAMES:
        assert close(getattr(sums, name), getattr(expected, name)), name


def test_a_thick_sample_agrees_with_the_reference(fused):
    problem, state = thick((16, 16), 2, 2, frames=6)
    state = with_slice_parameters(problem, state)
    expected = MultisliceReference(problem).gather(state, problem.used)
    sums = fused(problem, 2).gather(copy(state, np.complex64), problem.used)
    for name in (*NAMES, "opr_modes"):
        assert close(getattr(sums, name), getattr(expected, name)), name


def test_passes_that_change_the_state_or_waves_agree_with_plain_code(fused, monkeypatch):
    from exitwave.engine.backends.cuda import fused as module

    problem, truth = make_problem((15, 20), frames=3, modes=2, mask=0.1)
    outcomes = []
    for used in (True, False):
        monkeypatch.setattr(module, "_for_device", lambda _, used=used: used)
        state, rng = single(perturb(truth)), np.random.default_rng(1)
        waves = (rng.standard_normal((3, 2, 15, 20, 2)) @ [4, 4j]).astype(np.complex64)
        misfit = fused(problem, 2).sequential(state, problem.used, Step(0.9, 0.3), Step(0.5, 1.0))
        sums = fused(problem, 2).project(state, problem.used, waves, ProjectionWeights(-0.9, 1.0, 1.9))
        outcomes.append([state.object, state.probe, waves, sums.object, sums.probe, misfit.difference])
    for a, b in zip(*outcomes, strict=True):
        assert close(a, b, 1e-5)


@pytest.mark.parametrize("has_velocity", [False, True])
def test_descend_agrees_with_the_reference(has_velocity, fused):
    problem, state = make_problem((15, 20), frames=3, modes=2)
    sums, expected, found = ReferenceBackend(problem).gather(perturb(state), problem.used), double(state), single(state)
    ReferenceBackend(problem).descend(expected.probe, sums.probe, sums.object_density, Step(0.7, 0.2))
    parts, velocity = (sums.probe.astype("c8"), sums.object_density.astype("f4")), np.zeros_like(found.probe)
    fused(problem, 2).descend(found.probe, *parts, Step(0.7, 0.2), velocity if has_velocity else None)
    assert close(found.probe, expected.probe, 1e-5)
    assert close(velocity, (expected.probe - state.probe) * has_velocity)


def test_counts_from_the_host_give_the_sums_of_counts_on_the_device(fused):
    problem, truth = make_problem((16, 20), frames=6, mask=0.1)
    backend, state = fused(problem, 1), single(perturb(truth))
    resident = backend.gather(state, problem.used)
    backend.counts.resident = False
    assert close(backend.gather(state, problem.used).object, resident.object, 1e-6)


COMPILE = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from exitwave.engine.backends.cuda import kernels

KINDS = dict.fromkeys("exposures corners frames".split(), "*i64")
KINDS |= dict.fromkeys("share floor_power readout length alpha".split(), "fp32")
REAL = "out spectrum shifts probe_factors spectra waves obj num den probes chi".split()
REAL += "difference loss far target velocity max_den".split()
INTEGER, FLOAT = {"counts": "*i16", "invalid": "i32"}, {"counts": "*fp32", "invalid": "fp32"}
jobs = [
    (kernels._shift, {"SCALED": True}, {}),
    (kernels._shift_back, {"SCALED": False}, {}),
    (kernels._multiply, {"SIGN": -1}, {}),
    (kernels._add_object_density, {}, {}),
    (kernels._add_object, {"TY": 8, "TX": 64}, {}),
    (kernels._descend, {"HAS_VELOCITY": True}, {}),
    (kernels._compare, {"NOISE": "amplitude", "UNSIGNED": True}, {"waves": "i32"} | INTEGER),
    (kernels._compare, {"NOISE": "Poisson", "UNSIGNED": False}, {"waves": "i32"} | FLOAT),
]
for kernel, constants, kinds in jobs:
    constants = constants | ({} if "TY" in constants else {"N": 512})
    kinds = KINDS | dict.fromkeys(REAL, "*fp32") | kinds | dict.fromkeys(constants, "constexpr")
    source = ASTSource(kernel, {name: kinds.get(name, "i32") for name in kernel.arg_names}, constexprs=constants)
    assert compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]
"""


@pytest.mark.usefixtures("fused")
def test_the_kernels_compile_for_a_gpu_without_one(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    subprocess.run([sys.executable, "-c", COMPILE], check=True, env=environment)
