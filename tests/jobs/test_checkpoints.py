"""Checkpoints of jobs: a run that was interrupted or killed resumes with the same bits."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import exitwave
from exitwave.errors import InputError
from exitwave.jobs.checkpoints import checkpoint_path, find_checkpoint, resumed
from exitwave.jobs.job import Job, open_inputs
from exitwave.jobs.report import StopRequest
from exitwave.jobs.run import run
from exitwave.reconstruction.checkpoint import load_checkpoint
from exitwave.simulation import simulate

SETTINGS = {"iterations": 8, "threads": 1, "holdout": 0.1}


class KilledError(Exception):
    """Ends a job as a crash does."""


class Killer:
    """A reporter that ends the job at an iteration."""

    def __init__(self, at):
        self.at, self.lines = at, []

    def announce(self, text):
        self.lines.append(text)

    def update(self, progress):
        if progress.iteration == self.at:
            raise KilledError


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoints") / "scan.cxi"
    simulate(frames=24, detector=128, step=150e-9, photons=1e5, seed=3).save(path)
    return path


def make_job(scan, tmp_path, **changes):
    return Job(inputs=(scan,), outputs=(tmp_path / "result.cxi",), settings=dict(SETTINGS), checkpoint=1e-9, **changes)


def kill(job, at):
    with pytest.raises(KilledError):
        run(job, open_inputs(job), Killer(at))
    for thread in threading.enumerate():
        if thread.name == "checkpoint":
            thread.join()


def resume(job):
    checkpoint = find_checkpoint(job)
    job = resumed(job, checkpoint)
    return run(job, open_inputs(job), checkpoint=checkpoint)[0].result


def assert_same(first, second):
    assert np.array_equal(first.object, second.object)
    assert np.array_equal(first.probe, second.probe)
    assert np.array_equal(first.errors, second.errors)
    assert first.recipe == second.recipe


def test_a_killed_job_resumes_with_the_same_bits(scan, tmp_path):
    job = make_job(scan, tmp_path)
    kill(job, 5)
    assert not job.outputs[0].exists()
    result = resume(job)
    whole = dataclasses.replace(job, outputs=(tmp_path / "whole.cxi",))
    assert_same(result, run(whole, open_inputs(whole))[0].result)
    assert sorted(os.listdir(tmp_path)) == ["result.cxi", "whole.cxi"]


def test_a_job_with_automatic_choices_resumes_with_the_same_bits(scan, tmp_path):
    job = dataclasses.replace(make_job(scan, tmp_path), settings={"threads": 1}, quick=True)
    kill(job, 6)
    result = resume(job)
    whole = dataclasses.replace(job, outputs=(tmp_path / "whole.cxi",))
    expected = run(whole, open_inputs(whole))[0].result
    assert_same(result, expected)
    assert result.choices == expected.choices
    assert result.scan.preparation == expected.scan.preparation


def test_a_new_run_says_that_there_is_a_checkpoint(scan, tmp_path):
    job = make_job(scan, tmp_path)
    kill(job, 3)
    reporter = Killer(0)
    run(job, open_inputs(job), reporter)
    assert any("--resume would continue it" in line for line in reporter.lines)
    assert not checkpoint_path(job).exists()


def test_other_settings_are_refused(scan, tmp_path):
    job = make_job(scan, tmp_path)
    kill(job, 3)
    with pytest.raises(InputError, match="belongs to another run"):
        find_checkpoint(dataclasses.replace(job, settings={"iterations": 9}))
    assert find_checkpoint(dataclasses.replace(job, settings={})) is not None


def test_a_changed_input_is_refused(scan, tmp_path):
    changed = tmp_path / "changed.cxi"
    changed.write_bytes(scan.read_bytes())
    job = make_job(changed, tmp_path)
    kill(job, 3)
    simulate(frames=24, detector=128, step=150e-9, photons=1e5, seed=4).save(changed, overwrite=True)
    with pytest.raises(InputError, match="has changed since the checkpoint"):
        resume(job)


@pytest.mark.parametrize("position", [0.1, 0.5, 0.9])
def test_a_damaged_checkpoint_is_refused(scan, tmp_path, position):
    job = make_job(scan, tmp_path)
    kill(job, 3)
    content = bytearray(checkpoint_path(job).read_bytes())
    content[int(position * len(content))] ^= 1
    checkpoint_path(job).write_bytes(content)
    with pytest.raises(InputError, match="The checkpoint is damaged"):
        load_checkpoint(checkpoint_path(job))


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_run(scan, tmp_path):
    job = make_job(scan, tmp_path)
    checkpoint_path(job).mkdir()
    reporter = Killer(0)
    outcomes = run(job, open_inputs(job), reporter)
    assert outcomes[0].stopped_by == "iterations"
    assert sum("no checkpoint was written" in line for line in reporter.lines) == 1


def command(*words):
    return [sys.executable, "-m", "exitwave", "reconstruct", *map(str, words)]


def heed_hangup():
    """Let SIGHUP end a process also if the tests run under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_a_signal_leaves_a_result_and_a_checkpoint(scan, tmp_path):
    output = tmp_path / "result.cxi"
    words = [scan, "-o", output, "--iterations", 150, "--threads", 1, "--algorithm", "rPIE"]
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True}
    process = subprocess.Popen(command(*words), preexec_fn=heed_hangup, **pipes)
    for line in process.stderr:
        if line.startswith("iteration 1/"):
            os.kill(process.pid, signal.SIGHUP)
            break
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 130, stderr
    assert "--resume continues the run" in stderr
    done = len(exitwave.open(output).errors)
    assert done < 150
    process = subprocess.run(command(*words, "--resume", "--json"), capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert f"resuming after iteration {done} of 150" in process.stderr
    assert json.loads(process.stdout)["iterations"] == 150
    assert os.listdir(tmp_path) == ["result.cxi"]
    expected = exitwave.reconstruct(exitwave.open(scan), iterations=150, threads=1, algorithm="rPIE")
    assert np.array_equal(exitwave.open(output).object, expected.object)


def test_a_signal_before_the_first_iteration_says_that_nothing_was_saved(scan, tmp_path):
    output = tmp_path / "result.cxi"
    process = subprocess.Popen(
        command(scan, "-o", output), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    process.stderr.readline()  # "opening scan.cxi"
    os.kill(process.pid, signal.SIGTERM)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "error: Interrupted. No result was saved." in stderr
    assert os.listdir(tmp_path) == []


def test_without_checkpoints_a_stop_writes_none(scan, tmp_path):
    job = dataclasses.replace(make_job(scan, tmp_path), checkpoint=None)
    stop = StopRequest()
    stop.requested = True
    (outcome,) = run(job, open_inputs(job), stop=stop)
    assert outcome.stopped_by == "interrupted"
    assert os.listdir(tmp_path) == ["result.cxi"]
