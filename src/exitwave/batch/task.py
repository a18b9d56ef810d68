"""One scan of a batch: a worker reconstructs it, saves the result and writes a report, unless an earlier run did."""

import dataclasses
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import exitwave
from exitwave.batch.journal import Stamp, stamp
from exitwave.errors import ExitwaveError, InputError, OutputError
from exitwave.inputs import tracking
from exitwave.jobs.checkpoints import find_checkpoint, resumed
from exitwave.jobs.failures import as_exitwave_error
from exitwave.jobs.job import Job, open_inputs
from exitwave.jobs.run import run
from exitwave.reconstruction.checkpoint import Checkpoint
from exitwave.scan import Result

Status = Literal["done", "already done", "left out", "diverged", "failed"]
FAILED: tuple[Status, ...] = ("diverged", "failed")
"""Statuses that give a batch the exit code 1."""
ONE_AT_A_TIME = threading.Lock()
"""A reconstruction uses all threads of its worker, so a process runs one at a time, even if its worker allows more."""


@dataclass(frozen=True)
class Task:
    """A scan, its outputs, and how it is reconstructed."""

    job: Job
    """The reconstruction, with absolute paths that all workers can read and write."""
    report: Path
    """The HTML page about the result."""
    replace: bool
    """Whether a result of another input may be replaced."""
    stale: Stamp | None
    """Stamp of a result of other settings that is to be replaced."""

    @property
    def input(self) -> Path:
        """The scan."""
        return self.job.inputs[0]

    @property
    def output(self) -> Path:
        """The result."""
        return self.job.outputs[0]


@dataclass(frozen=True)
class Row:
    """How a task has ended, ready for JSON."""

    input: str
    """The scan."""
    status: Status
    """How it ended."""
    message: str = ""
    """Why it failed or was left out, in one line."""
    output: str = ""
    """The result."""
    report: str = ""
    """The page about the result."""
    error: float | None = None
    """Error metric of the result."""
    holdout_error: float | None = None
    """Error metric of the held-out frames."""
    resolution: float | None = None
    """Half period in metres up to which two halves of the scan agree; None: not measured."""
    grade: str = ""
    """GOOD, CHECK or BAD."""
    verdict: str = ""
    """The grade and its first reason."""
    diagnoses: tuple[str, ...] = ()
    """What is wrong with scan or model, codes and words."""
    thumbnail: str = ""
    """A small image of the phase, as a data URI."""
    seconds: float = 0.0
    """Time that the task took."""

    @property
    def failed(self) -> bool:
        """Whether there is no result, or one that diverged."""
        return self.status in FAILED

    def as_dict(self) -> dict[str, Any]:
        """Return the row without its thumbnail, for ``--json``."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "thumbnail"}


def execute(task: Task) -> Row:
    """Execute a task unless its result exists; an exception becomes the row of a failed task."""
    begin = time.perf_counter()
    with ONE_AT_A_TIME, tracking():
        try:
            row = _execute(task)
        except Exception as error:
            row = failure(task, as_exitwave_error(error))
    return dataclasses.replace(row, seconds=time.perf_counter() - begin)


def failure(task: Task, error: ExitwaveError) -> Row:
    """Return the row of a task that has failed. Its message has the name of the scan in place of the path."""
    path, name = str(task.input), task.input.name
    what, where = error.what.replace(path, name), error.where.replace(path, name)
    message = ExitwaveError(what, where=where, found=error.found, remedy=error.remedy)
    return Row(str(task.input), "failed", " ".join(str(message).split()))


def _execute(task: Task) -> Row:
    from exitwave.figures.report import write_report

    result = _finished(task)
    status: Status = "already done"
    if result is None:
        checkpoint = _checkpoint(task.job)
        job = task.job if checkpoint is None else resumed(task.job, checkpoint)
        inputs = open_inputs(job)
        if isinstance(inputs.data[0], Result):
            message = "The input is a result, not a scan. Continue it with exitwave reconstruct"
            return Row(str(task.input), "left out", message)
        (outcome,) = run(job, inputs, checkpoint=checkpoint)
        result, status = outcome.result, "done"
    if status == "done" or not task.report.exists():
        write_report(result, task.report, file=task.output, overwrite=True)
    return _row(task, result, status)


def _finished(task: Task) -> Result | None:
    """Return the result of this task if an earlier batch has saved it (a result file is never incomplete)."""
    from exitwave.reconstruction.setup import digest_of

    if not task.output.exists() or stamp(task.output) == task.stale:
        return None
    found = ""
    try:
        with tracking(on=False):
            data = exitwave.open(task.output)
        if isinstance(data, Result) and data.provenance.get("digest") == digest_of(task.input):
            return data
        found = f"a result of {data.provenance.get('input')}" if isinstance(data, Result) else "no result"
    except InputError as error:
        found = error.what
    if task.replace:
        return None
    remedy = "The input may have changed. Replace the output with --overwrite, or choose another folder with -o"
    raise OutputError("The output exists and belongs to another input", where=task.output, found=found, remedy=remedy)


def _checkpoint(job: Job) -> Checkpoint | None:
    """Return the checkpoint that a stopped batch has left for a job; None if there is none that can be used."""
    try:
        return find_checkpoint(job)
    except InputError:
        return None


def _row(task: Task, result: Result, status: Status) -> Row:
    from exitwave.analysis.diagnosis import diagnose
    from exitwave.analysis.verdict import verdict
    from exitwave.figures.thumbnail import thumbnail

    diagnoses = diagnose(result)
    judged = verdict(result, diagnoses)
    diverged = result.provenance.get("stopped_by") == "divergence"
    return Row(
        input=str(task.input),
        status="diverged" if diverged else status,
        message="The reconstruction diverged. Its best iteration was saved" if diverged else "",
        output=str(task.output),
        report=str(task.report),
        error=judged.error,
        holdout_error=judged.holdout_error,
        resolution=judged.resolution,
        grade=judged.grade,
        verdict=judged.headline(),
        diagnoses=tuple(f"{each.code} {each.what}" for each in diagnoses if each.level != "info"),
        thumbnail=thumbnail(result),
    )
