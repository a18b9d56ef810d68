"""The page on plug-ins: its code, installed as a package, runs on every backend and in several processes."""

import os
import re
import subprocess
import sys
from importlib import util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from processes import start, wait_for

import exitwave
from exitwave.errors import InputError

PAGE = Path(__file__).resolve().parents[1] / "docs" / "plug-ins.md"
needs_torch = pytest.mark.skipif(util.find_spec("torch") is None, reason="PyTorch is not installed")


def files_of_the_page() -> dict[str, str]:
    """Code blocks that begin with their file name, by that name."""
    blocks = re.findall(r"```(?:python|toml)\n# (\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    return dict(blocks)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which the page's package is installed."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name, text in files_of_the_page().items():
        (source / name).write_text(text, encoding="utf-8")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(target), str(source)], check=True)
    return target


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small scan, whose file the command line reads."""
    path = tmp_path_factory.mktemp("scan") / "scan.cxi"
    exitwave.simulate(frames=25, detector=128, photons=1e6, seed=3).save(path)
    return path


@pytest.fixture(scope="module")
def on_cpu(site: Path, scan: Path) -> exitwave.Result:
    """Result of the installed algorithm on the CPU, by the command line."""
    return by_name(site, scan, "cpu")


def by_name(site: Path, scan: Path, device: str, processes: int = 1) -> exitwave.Result:
    """Reconstruct by the name of the algorithm with the command line."""
    output = scan.with_name(f"{device}-{processes}.cxi")
    command = ["-m", "exitwave", "reconstruct", str(scan), "-o", str(output), "--algorithm", "denoised-ap"]
    command += ["--iterations", "6", "--probe", "file", "--device", device, "--threads", "1", "--json"]
    environment = {"PYTHONPATH": os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])}
    if processes == 1:
        subprocess.run([sys.executable, *command], check=True, env=os.environ | environment, stdout=subprocess.DEVNULL)
    else:
        assert [code for code, *_ in wait_for(start(*[command] * processes, **environment))] == [0] * processes
    result = exitwave.open(output)
    assert isinstance(result, exitwave.Result)
    return result


def module_of(site: Path, name: str) -> ModuleType:
    """Import a module of the installed package without a change of the path."""
    spec = util.spec_from_file_location(name, site / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_the_algorithm_of_the_page_has_less_than_40_lines() -> None:
    assert len(files_of_the_page()["denoised.py"].splitlines()) < 40


def test_an_installed_algorithm_is_known_by_its_name(on_cpu: exitwave.Result) -> None:
    assert on_cpu.algorithm == on_cpu.recipe["stages"][0]["algorithm"] == "denoised-AP"
    assert on_cpu.errors[-1] < 0.5 * on_cpu.errors[0]


@needs_torch
def test_it_gives_the_same_image_on_tensors(site: Path, scan: Path, on_cpu: exitwave.Result) -> None:
    found = by_name(site, scan, "torch-cpu")
    assert np.linalg.norm(found.object - on_cpu.object) < 1e-3 * np.linalg.norm(on_cpu.object)


@needs_torch
def test_it_gives_the_same_image_in_two_processes(site: Path, scan: Path, on_cpu: exitwave.Result) -> None:
    found = by_name(site, scan, "cpu", processes=2)
    assert np.linalg.norm(found.object - on_cpu.object) < 1e-3 * np.linalg.norm(on_cpu.object)


def test_the_object_itself_is_an_algorithm_too(site: Path, scan: Path, on_cpu: exitwave.Result) -> None:
    algorithm = module_of(site, "denoised").ALGORITHM
    data = exitwave.open(scan)
    found = exitwave.reconstruct(data, algorithm=algorithm, iterations=6, probe="file", threads=1, device="cpu")
    assert np.array_equal(found.object, on_cpu.object)


def test_a_refinement_of_the_page_smooths_the_positions(site: Path, scan: Path) -> None:
    refinement = module_of(site, "drift").REFINEMENT
    settings = {"position_update": True, "iterations": 8, "probe": "file", "threads": 1, "device": "cpu"}
    data = exitwave.open(scan)
    plain = exitwave.reconstruct(data, **settings)
    smooth = exitwave.reconstruct(data, **settings, refinements=[refinement])
    narrow = exitwave.reconstruct(data, **settings, drift_smoothing={"frames": 3})
    assert smooth.recipe["stages"][0]["drift_smoothing"]["frames"] == 9
    roughness = [np.std(np.diff(each.positions - data.positions, axis=0)) for each in (plain, narrow, smooth)]
    assert roughness[0] > roughness[1] > roughness[2]


def test_settings_that_an_algorithm_does_not_use_are_refused(site: Path, scan: Path) -> None:
    algorithm = module_of(site, "denoised").ALGORITHM
    with pytest.raises(InputError, match="denoised-AP does not use batch"):
        exitwave.reconstruct(exitwave.open(scan), algorithm=algorithm, batch=8)
    with pytest.raises(InputError, match="positions cannot be refined"):
        exitwave.reconstruct(exitwave.open(scan), algorithm=algorithm, position_update=True)


@pytest.mark.parametrize("algorithm", [exitwave.Algorithm("mPIE", print), print])
def test_a_taken_name_and_other_objects_are_refused(scan: Path, algorithm: object) -> None:
    with pytest.raises(InputError, match=r"already has this name|Not an algorithm"):
        exitwave.reconstruct(exitwave.open(scan), algorithm=algorithm)
