"""When a job writes its checkpoint, and how a job resumes from one."""

import datetime
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import exitwave
from exitwave.engine.parallel.communicator import Communicator
from exitwave.engine.recipe import make_recipe
from exitwave.errors import ExitwaveError, InputError
from exitwave.inputs import check_regular, tracking
from exitwave.jobs.job import Job
from exitwave.reconstruction.checkpoint import Checkpoint, chosen_for, load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from exitwave.reconstruction.iterate import Progress

SUFFIX = ".checkpoint"
"""Suffix of a checkpoint file, after the name of the output."""
SHARE = 0.02
"""Largest share of the time that checkpoints may take."""
MAY_BE_LEFT_OUT = ("settings", "overrides", "probe")
"""What a command that resumes does not have to repeat."""
LARGE = 2**30
"""Bytes of arrays from which on a checkpoint is written while the run waits, without a copy in memory."""


def checkpoint_path(job: Job) -> Path:
    """Return the checkpoint file of a job, beside its first output."""
    output = job.outputs[0]
    return output.with_name(output.name + SUFFIX)


def find_checkpoint(job: Job) -> Checkpoint | None:
    """Return the checkpoint from which a job resumes; None if there is no file, so that the job starts anew.

    Raises
    ------
    InputError
        If the file is damaged, is of another version, or belongs to other inputs or settings.
    """
    path = checkpoint_path(job)
    if not path.exists():
        return None
    check_regular(path)
    checkpoint = load_checkpoint(path)
    now = _identity(job)
    for name, value in checkpoint.facts["identity"].items():
        given = now[name]
        if given != value and not (name in MAY_BE_LEFT_OUT and not given):
            found = f"{name}: {_short(given)}, in the checkpoint {_short(value)}"
            remedy = "Leave the settings out, or start again without --resume"
            raise InputError("The checkpoint belongs to another run", where=path, found=found, remedy=remedy)
    return checkpoint


def resumed(job: Job, checkpoint: Checkpoint) -> Job:
    """Return a job with the settings of its checkpoint; its own interrupted result may be replaced."""
    facts = checkpoint.facts
    own = _is_interrupted_result(job.outputs[0], facts["iteration"])
    return replace(
        job,
        overrides=facts["identity"]["overrides"],
        share=facts["identity"]["share"],
        settings=facts["recipe"],
        probe=None,
        overwrite=job.overwrite or own,
    )


def describe(checkpoint: Checkpoint) -> str:
    """Return what a checkpoint holds, as text."""
    facts = checkpoint.facts
    return f"iteration {facts['iteration']} of {facts['iterations']}, of {facts['date']}"


def _is_interrupted_result(output: Path, iteration: int) -> bool:
    """Return whether a file is the result that an interrupted run has saved together with its checkpoint."""
    try:
        with tracking(on=False):
            result = exitwave.open(output)
    except (ExitwaveError, OSError):
        return False
    return (
        isinstance(result, exitwave.Result)
        and result.provenance.get("stopped_by") == "interrupted"
        and len(result.errors) == iteration
    )


def _identity(job: Job) -> dict[str, Any]:
    """Return what a job and its checkpoint must have in common, ready for JSON."""
    given = make_recipe(job.settings).model_dump(mode="json", exclude_unset=True) if job.settings else {}
    return {
        "version": exitwave.__version__,
        "inputs": [str(path.resolve()) for path in job.inputs],
        "settings": given,
        "overrides": dict(job.overrides),
        "probe": job.probe,
        "share": job.share,
        "quick": job.quick,
        "as_is": job.as_is,
    }


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 80 else text[:77] + "..."


@dataclass
class Checkpoints:
    """Writes the checkpoints of one job.

    A checkpoint is taken after an iteration, and written by a thread while the run continues.
    """

    job: Job
    communicator: Communicator
    announce: Callable[[str], None]
    prepared: bool = False
    """Whether the scan was prepared before the run."""
    identity: dict[str, Any] | None = None
    """What the job and its checkpoints have in common; None: that of the job."""
    _last: float = field(default_factory=time.monotonic)
    _wait: float = 0.0
    """Seconds until the next checkpoint."""
    _thread: threading.Thread | None = None
    _failed: bool = False

    def __post_init__(self) -> None:
        self._wait = self.job.checkpoint or 0.0

    def after(self, progress: "Progress") -> None:
        """Write a checkpoint if it is time for one; all processes call this after the same iterations."""
        if self.job.checkpoint and not progress.stopped_by and self.communicator.first(self._is_due):
            self.write(progress)

    def _is_due(self) -> bool:
        busy = self._thread is not None and self._thread.is_alive()
        return not busy and not self._failed and time.monotonic() - self._last >= self._wait

    def at_stop(self, progress: "Progress") -> None:
        """Write a checkpoint after the last iteration before a stop, and say so."""
        if self.job.checkpoint and not progress.stopped_by:
            self.write(progress, wait=True)
            if not self._failed:
                self.announce("a checkpoint was written; the same command with --resume continues the run")

    def write(self, progress: "Progress", *, wait: bool = False) -> None:
        """Write a checkpoint; with ``wait``, or if it is large, return when it is complete."""
        begin = time.monotonic()
        own = progress.snapshot()
        wait = wait or self.communicator.any(own.size > LARGE)
        parts = self.communicator.collect(own if wait else own.copied())
        if parts is None:
            return
        checkpoint = Checkpoint(self._facts(progress), chosen_for(progress.scan, progress.choices), tuple(parts))
        self._join()
        if wait:
            self._save(checkpoint, begin)
        else:
            self._thread = threading.Thread(target=self._save, args=(checkpoint, begin), name="checkpoint")
            self._thread.start()

    def _save(self, checkpoint: Checkpoint, begin: float) -> None:
        """Write the file, and decide when the next one is due; a failure is reported once and ends nothing."""
        try:
            save_checkpoint(checkpoint, checkpoint_path(self.job))
        except (ExitwaveError, OSError, MemoryError) as error:
            self._failed = True
            self.announce(f"no checkpoint was written, and the run continues without one: {error}")
        self._last = time.monotonic()
        self._wait = max(self.job.checkpoint or 0.0, (self._last - begin) / SHARE)

    def finish(self, *, complete: bool) -> None:
        """Wait for the file; remove it if the run is complete and saved."""
        self._join()
        if complete and self.communicator.rank == 0:
            with suppress(OSError):
                checkpoint_path(self.job).unlink(missing_ok=True)

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _facts(self, progress: "Progress") -> dict[str, Any]:
        """Return what identifies the run, ready for JSON."""
        return {
            "identity": self.identity or _identity(self.job),
            "recipe": progress.recipe.model_dump(mode="json", exclude_unset=True)
            | {"threads": progress.settings["threads"]},
            "prepared": self.prepared,
            "processes": self.communicator.size,
            "iteration": progress.iteration,
            "iterations": progress.iterations,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "host": socket.gethostname(),
            "process": os.getpid(),
        }
