"""Inputs that change during a run: one clear error, and a result of the frames that were loaded."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exitwave
from exitwave.cxi.changed import CHANGED
from exitwave.cxi.verify_input import verify_files
from exitwave.errors import InputError
from exitwave.frames.input_record import values_digest
from exitwave.jobs.job import Job, open_inputs
from exitwave.jobs.report import Silent
from exitwave.jobs.run import run
from exitwave.scan import Result

QUICK = {"algorithm": "rPIE", "iterations": 2, "threads": 1}


class Replacing(Silent):
    """A reporter that calls a function after the first iteration."""

    def __init__(self, change: Callable[[], None]) -> None:
        self.change = change

    def update(self, progress: Any) -> None:
        if progress.iteration == 1:
            self.change()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    for name, frames, seed in (("scan", 12, 0), ("other", 12, 1), ("shorter", 9, 0)):
        exitwave.simulate(frames=frames, detector=128, step=150e-9, seed=seed).save(folder / f"{name}.cxi")
    return folder


@pytest.fixture
def scan(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made / "scan.cxi", tmp_path))


@pytest.mark.parametrize("replacement", ["other", "shorter", None])
@pytest.mark.parametrize("frc", [False, True])
def test_an_input_that_is_replaced_during_the_run(
    replacement: str | None, frc: bool, made: Path, scan: Path, tmp_path: Path
) -> None:
    """The result of the frames that were loaded is saved; what needs the frames again is one clear error."""
    loaded = exitwave.open(scan).patterns[:]

    def change() -> None:
        scan.unlink()
        if replacement:
            shutil.copy(made / f"{replacement}.cxi", scan)

    job = Job((scan,), (tmp_path / "r.cxi",), settings=QUICK, frc=frc)
    (outcome,) = run(job, open_inputs(job), Replacing(change))
    with pytest.raises(InputError, match=r"scan\.cxi.*(has changed since it was opened|cannot be found)"):
        outcome.verdict  # noqa: B018
    saved = exitwave.open(outcome.output)
    assert isinstance(saved, Result)
    np.testing.assert_array_equal(saved.input.frames, [np.frombuffer(values_digest(f), np.uint8) for f in loaded])
    codes = {finding.code for finding in saved.scan.findings}
    assert (CHANGED if replacement else "W211") in codes


def test_an_input_that_is_replaced_before_it_is_loaded(made: Path, scan: Path, tmp_path: Path) -> None:
    job = Job((scan,), (tmp_path / "r.cxi",), settings=QUICK)
    inputs = open_inputs(job)
    shutil.copy(made / "other.cxi", scan)
    with pytest.raises(InputError, match="has changed since it was opened"):
        run(job, inputs)
    assert not (tmp_path / "r.cxi").exists()


def test_each_result_of_a_joint_run_has_the_digests_of_its_own_input(made: Path, tmp_path: Path) -> None:
    inputs = tuple(made / f"{name}.cxi" for name in ("scan", "other"))
    job = Job(inputs, (tmp_path / "a.cxi", tmp_path / "b.cxi"), settings=QUICK, share="probe")
    outcomes = run(job, open_inputs(job))
    for path, outcome in zip(inputs, outcomes, strict=True):
        assert list(outcome.result.input.files) == [path]
        (found,) = verify_files([outcome.output])
        assert found.status == "intact"
        assert found.items[-1].path.startswith(f"{path}:")


def test_the_input_of_a_changed_result_needs_the_setting(made: Path, scan: Path, tmp_path: Path) -> None:
    job = Job((scan,), (tmp_path / "r.cxi",), settings=QUICK)
    run(job, open_inputs(job))
    shutil.copy(made / "other.cxi", scan)
    again = {"inputs": (tmp_path / "r.cxi",), "outputs": (tmp_path / "again.cxi",), "settings": QUICK}
    with pytest.raises(InputError, match="--changed-input"):
        open_inputs(Job(**again))
    open_inputs(Job(**again, changed_input=True))
