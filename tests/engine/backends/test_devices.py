"""The choice of the device, and agreement of the results of devices."""

import subprocess
import sys
from importlib import util

import numpy as np
import pytest
from problems import ON_TENSORS, make_problem, perturb, single, torch

import exitwave
from exitwave.analysis.error import recompute
from exitwave.engine.backends import device
from exitwave.engine.recipe import make_recipe
from exitwave.errors import InputError
from exitwave.scan import Scan

FIRST = {"algorithm": "mPIE", "iterations": 2}
RECIPES = {
    "positions and OPR": {
        "algorithm": "rPIE", "modes": 2, "iterations": 4, "position_update": True, "opr_update": True,
    },
    "coarse, then fine and constrained": {
        "stages": [
            FIRST | {"coarse": 2},
            FIRST | {"object_constraints": {"amplitude": [0.3, 1.2]}, "probe_constraints": {"centre": "whole"}},
        ]
    },
    "exit waves": {"algorithm": "DM", "iterations": 3},
    "positions along a line": {"algorithm": "ML", "noise": "Poisson", "iterations": 3, "position_update": True},
    "slices": {"stages": [FIRST, {"algorithm": "ML", "iterations": 3}], "slices": 2},
}  # fmt: skip


@pytest.fixture(scope="module")
def scan() -> Scan:
    return exitwave.simulate(frames=60, detector=128, photons=1e6, seed=4)  # fewer frames would amplify rounding


@pytest.mark.parametrize("settings", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("on", ON_TENSORS)
def test_results_on_tensors_agree_with_those_on_arrays(scan, settings, on):
    a, b = (exitwave.reconstruct(scan, device=name, threads=1, **settings) for name in ("cpu", on.device))
    for one, other in ((a.object, b.object), (a.probe, b.probe)):
        assert isinstance(other, np.ndarray)
        assert np.linalg.norm(one - other) < 1e-3 * np.linalg.norm(one)
    assert np.abs(a.positions - b.positions).max() < 1e-3 * min(scan.object_pixel)
    np.testing.assert_allclose(b.errors, a.errors, rtol=1e-4)
    np.testing.assert_allclose(b.holdout_errors, a.holdout_errors, rtol=1e-4)
    assert (a.provenance["device"], b.provenance["device"]) == ("cpu", on.device)
    assert b.recipe["device"] == on.device


@torch
def test_results_of_iterations_are_independent_and_continue_on_another_device(scan):
    first, last = (each.result() for each in exitwave.iterate(scan, make_recipe(FIRST | {"device": "torch-cpu"})))
    for each in (first, last):  # later iterations have not changed the first result
        assert recompute(each) == pytest.approx(each.errors[-1], rel=1e-4)
    continued = exitwave.reconstruct(last, device="cpu", **FIRST)
    assert len(continued.errors) == 4
    assert continued.errors[-1] < last.errors[-1]


def test_the_cpu_device_does_not_import_torch():
    code = """
import sys, exitwave
scan = exitwave.simulate(frames=12, detector=128, photons=1e5)
result = exitwave.reconstruct(scan, device="cpu", iterations=1, threads=1)
print("torch" in sys.modules, result.provenance["device"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "cpu"]


def test_auto_without_a_driver_is_the_cpu_and_does_not_import_torch(monkeypatch):
    monkeypatch.setattr(device, "_driver_present", lambda: False)
    monkeypatch.setattr(device, "_gpu_count", lambda: pytest.fail("PyTorch was imported"))
    assert device.resolve("auto") == "cpu"


def test_auto_selects_a_gpu_that_torch_finds(monkeypatch):
    monkeypatch.setattr(device, "_driver_present", lambda: True)
    monkeypatch.setattr(util, "find_spec", lambda _: True)
    for count, expected in ((0, "cpu"), (2, "cuda:0")):
        monkeypatch.setattr(device, "_gpu_count", lambda count=count: count)
        assert device.resolve("auto") == expected
    assert device.resolve("cuda") == "cuda:0"
    assert device.resolve("cuda:1") == "cuda:1"
    with pytest.raises(InputError, match=r"no such GPU.*cuda:2; PyTorch finds 2 GPUs"):
        device.resolve("cuda:2")


def test_a_missing_gpu_is_refused_before_automatic_choices(scan, monkeypatch):
    monkeypatch.setattr(util, "find_spec", lambda _: True)
    monkeypatch.setattr(device, "_gpu_count", lambda: 0)
    with pytest.raises(InputError, match="PyTorch finds 0 GPUs"):
        exitwave.choose(scan, announce=lambda _: pytest.fail("the work has started"), device="cuda")


def test_a_gpu_without_torch_is_refused_with_the_package_to_install(monkeypatch):
    monkeypatch.setattr(util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"PyTorch.*exitwave\[cuda\]"):
        device.resolve("cuda")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU"])
def test_unknown_device_names_are_refused(name):
    with pytest.raises(InputError, match=r"^device: Unknown name .* Use auto"):
        make_recipe({"device": name})


@torch
def test_counts_that_do_not_fit_are_copied_from_the_host(monkeypatch):
    from exitwave.engine.backends.create import make_backend
    from exitwave.engine.backends.cuda import memory

    problem, truth = make_problem((16, 20), modes=2, mask=0.1)
    plans = iter([memory.Plan(True, 12), memory.Plan(False, 5)])
    monkeypatch.setattr(memory, "plan", lambda *_: next(plans))
    a, b = (make_backend(problem, 2, 1, "torch-cpu") for _ in range(2))
    assert (a.counts.resident, b.counts.resident) == (True, False)
    one, other = (each.gather(single(perturb(truth)), problem.used) for each in (a, b))
    assert np.linalg.norm(one.object - other.object) < 1e-6 * np.linalg.norm(one.object)
    assert one.misfit.signal == other.misfit.signal


@torch
def test_memory_is_planned_and_a_problem_that_does_not_fit_is_refused(monkeypatch):
    import torch

    from exitwave.engine.backends.cuda import memory

    problem, _ = make_problem((64, 64), frames=200)
    monkeypatch.setattr(memory, "free_memory_on", lambda _: free)
    gpu, free = torch.device("cuda"), 1e9
    assert memory.plan(problem, 2, gpu) == (True, memory.GROUP_BYTES["cuda"] // (8 * 2 * 64 * 64))
    fixed = memory.OBJECT_ARRAYS * 8 * (np.prod(problem.object_shape) + 2 * 64 * 64)
    free = (fixed + problem.counts.nbytes / 2) / memory.USABLE
    plan = memory.plan(problem, 2, gpu)
    assert not plan.resident
    assert 1 <= plan.group_size <= problem.counts.nbytes / 2 / (memory.WAVE_ARRAYS * 8 * 2 * 64 * 64)
    free = fixed / memory.USABLE
    with pytest.raises(InputError, match=r"does not fit on the device.*GB for object, probe and one frame.*GB free"):
        memory.plan(problem, 2, gpu)
