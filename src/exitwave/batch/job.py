"""One scan of a batch, as a worker sees it: nothing to do, or reconstruct, save, report; and a row that sums it up."""

import dataclasses
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import exitwave
from exitwave.batch.journal import Stamp, stamp
from exitwave.errors import ExitwaveError, InputError, OutputError
from exitwave.scan import Result, Scan

Status = Literal["done", "already done", "left out", "diverged", "failed"]
FAILED: tuple[Status, ...] = ("diverged", "failed")
"""What makes a batch end with exit code 1."""
ONE_AT_A_TIME = threading.Lock()
"""A reconstruction takes all threads that it may have, so a process runs one, whatever its worker allows."""


@dataclass(frozen=True)
class Job:
    """A scan, where its result goes, and how it is made."""

    input: Path
    """The scan, as an absolute path that all workers can read."""
    output: Path
    """The result, as an absolute path that all workers can write."""
    report: Path
    """The page about the result."""
    overrides: dict[str, str]
    """What to believe instead of the file."""
    settings: dict[str, Any]
    """Settings of the recipe."""
    probe: str | None
    """``auto``, ``file`` or the file of the starting probe."""
    embed: bool
    """Whether the frames are copied into the result."""
    frc: bool
    """Whether the resolution is measured by two halves of the scan."""
    replace: bool
    """Whether a result of another input may be replaced."""
    stale: Stamp | None
    """That of a result which other settings have made, and which is to be replaced."""
    command: tuple[str, ...]
    """The command that makes this result alone."""


@dataclass(frozen=True)
class Row:
    """How a job has ended, ready for JSON."""

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
    """The same on the frames held out."""
    resolution: float | None = None
    """Half period in metres down to which two halves of the scan agree, where that was measured."""
    grade: str = ""
    """good, poor or unknown."""
    verdict: str = ""
    """How good the result is, in words."""
    diagnoses: tuple[str, ...] = ()
    """What is wrong with scan or model, codes and words."""
    thumbnail: str = ""
    """A small image of the phase, as a data URI."""
    seconds: float = 0.0
    """Time that the job took."""

    @property
    def failed(self) -> bool:
        """Whether there is no result, or one that is not to be trusted."""
        return self.status in FAILED

    def as_dict(self) -> dict[str, Any]:
        """Return the row without its image, for ``--json``."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "thumbnail"}


def run(job: Job) -> Row:
    """Do a job, unless it is done already; whatever goes wrong becomes a row."""
    from exitwave.cli.group import translate

    begin = time.perf_counter()
    with ONE_AT_A_TIME:
        try:
            row = _run(job)
        except Exception as error:
            row = failure(job, translate(error))
    return dataclasses.replace(row, seconds=time.perf_counter() - begin)


def failure(job: Job, error: ExitwaveError) -> Row:
    """Return the row of a job that has failed."""
    return Row(str(job.input), "failed", " ".join(str(error).split()))


def _run(job: Job) -> Row:
    from exitwave.figures.report import write_report

    result = _earlier(job)
    status: Status = "already done"
    if result is None:
        data = exitwave.open(job.input, **job.overrides)
        if isinstance(data, Result):
            return Row(str(job.input), "left out", "It is a result, not a scan; exitwave reconstruct continues it")
        result, status = _reconstruct(job, data), "done"
    if status == "done" or not job.report.exists():
        write_report(result, job.report, file=job.output, overwrite=True)
    return _row(job, result, status)


def _earlier(job: Job) -> Result | None:
    """Return the result of this job where an earlier batch has made it; a result appears whole or not at all."""
    from exitwave.reconstruction.setup import digest_of

    if not job.output.exists() or stamp(job.output) == job.stale:
        return None
    found = ""
    try:
        data = exitwave.open(job.output)
        if isinstance(data, Result) and data.provenance.get("digest") == digest_of(job.input):
            return data
        found = f"a result of {data.provenance.get('input')}" if isinstance(data, Result) else "no result"
    except InputError as error:
        found = error.what
    if job.replace:
        return None
    remedy = "The input may have changed; replace it with --overwrite, or choose another -o"
    raise OutputError("The output exists and is not of this input", where=job.output, found=found, remedy=remedy)


def _reconstruct(job: Job, scan: Scan) -> Result:
    """Reconstruct and save, as `exitwave reconstruct` does."""
    from exitwave.cli.reconstruct import starting_probe
    from exitwave.cli.work import work
    from exitwave.reconstruction.auto import leaves_open

    for left in job.output.parent.glob(f".{job.output.name}.partial-*"):  # by a worker that was killed
        left.unlink(missing_ok=True)
    data, settings = starting_probe(scan, job.probe, job.settings)
    before, sys.argv = sys.argv, list(job.command)  # the result tells the command that makes it
    try:
        how: dict[str, Any] = {"embed": job.embed, "frc": job.frc, "choosing": leaves_open(settings)}
        return work(data, settings, job.output, overwrite=True, opened=0.0, quiet=True, **how).result
    finally:
        sys.argv = before


def _row(job: Job, result: Result, status: Status) -> Row:
    from exitwave.analysis.diagnosis import diagnose
    from exitwave.analysis.verdict import verdict
    from exitwave.figures.thumbnail import thumbnail

    judged = verdict(result)
    diverged = result.provenance.get("stopped_by") == "divergence"
    return Row(
        input=str(job.input),
        status="diverged" if diverged else status,
        message="It diverged, and its best iteration was kept" if diverged else "",
        output=str(job.output),
        report=str(job.report),
        error=judged.error,
        holdout_error=judged.holdout_error,
        resolution=judged.resolution,
        grade=judged.grade,
        verdict=judged.sentences()[0],
        diagnoses=tuple(f"{each.code} {each.what}" for each in diagnose(result) if each.level != "info"),
        thumbnail=thumbnail(result),
    )
