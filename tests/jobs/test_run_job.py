"""Jobs: inputs, the command in the provenance, the stop request, and saving."""

from pathlib import Path

import numpy as np
import pytest
from samples import small_result

import exitwave
from exitwave.cxi.read import read
from exitwave.errors import InputError, OutputError
from exitwave.jobs.job import Job, open_inputs
from exitwave.jobs.report import StopRequest
from exitwave.jobs.rescue import save_or_rescue
from exitwave.jobs.run import run

QUICK = {"algorithm": "rPIE", "iterations": 2, "threads": 1}


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("jobs") / "scan.cxi"
    exitwave.simulate(frames=12, detector=128, step=150e-9).save(path)
    return path


class Recorder:
    """A reporter that keeps what is reported, and calls a function after each iteration."""

    def __init__(self, after=lambda _: None):
        self.announced, self.iterations, self.after = [], [], after

    def announce(self, text):
        self.announced.append(text)

    def update(self, progress):
        self.iterations.append(progress.iteration)
        self.after(progress)


def test_a_job_saves_its_result_with_its_command(scan, tmp_path):
    job = Job((scan,), (tmp_path / "r.cxi",), settings=QUICK, command="exitwave reconstruct 'my scan.cxi'")
    reporter = Recorder()
    (outcome,) = run(job, open_inputs(job), reporter)
    saved = exitwave.open(outcome.output)
    assert saved.provenance["command"] == job.command
    np.testing.assert_array_equal(saved.object, outcome.result.object)
    assert (outcome.stopped_by, reporter.iterations, reporter.announced[-1]) == ("iterations", [1, 2], "saving")


def test_a_result_from_python_names_the_function():
    scan = exitwave.simulate(frames=12, detector=128, step=150e-9)
    assert exitwave.reconstruct(scan, **QUICK).provenance["command"] == "exitwave.reconstruct"


def test_a_stop_request_saves_the_result_of_the_current_iteration(scan, tmp_path):
    stop = StopRequest()
    job = Job((scan,), (tmp_path / "r.cxi",), settings=QUICK | {"iterations": 1000}, frc=True)

    def request(progress):
        stop.requested = progress.iteration == 3

    (outcome,) = run(job, open_inputs(job), Recorder(request), stop)
    assert outcome.stopped_by == "interrupted"
    saved = exitwave.open(outcome.output)
    assert len(saved.errors) == 3
    assert saved.frc is None  # the halves are not started


def test_the_starting_probe_of_another_file_replaces_that_of_the_scan(scan, scan_file, tmp_path):
    inputs = open_inputs(Job((scan,), (tmp_path / "r.cxi",), probe=str(scan_file)))
    np.testing.assert_array_equal(inputs.data[0].probe, exitwave.open(scan_file).probe)
    assert inputs.settings == {"probe": "file"}
    assert open_inputs(Job((scan,), (tmp_path / "r.cxi",), probe="auto")).settings == {"probe": "auto"}


def test_an_output_never_replaces_the_frames_of_an_input(scan, result_file):
    frames = exitwave.open(result_file).scan.patterns.path
    with pytest.raises(OutputError, match="is an input"):
        open_inputs(Job((result_file,), (frames,), overwrite=True))
    with pytest.raises(InputError):
        open_inputs(Job((scan.with_name("missing.cxi"),), (scan.with_name("r.cxi"),)))


def test_a_result_is_saved_elsewhere_when_its_output_appears_during_the_run(tmp_path, scan_file):
    taken = tmp_path / "taken.cxi"
    taken.write_bytes(b"another file")
    with pytest.raises(OutputError, match=r"exists.*The result was saved in") as caught:
        save_or_rescue(small_result(read(scan_file)), taken, overwrite=False, embed=True)
    rescued = Path(caught.value.remedy.removeprefix("The result was saved in "))
    assert taken.read_bytes() == b"another file"
    assert len(read(rescued).errors) == 5
