"""Run a job: choose settings if none are given, iterate, measure the resolution, and save."""

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import exitwave
from exitwave.engine.parallel.communicator import ONE_PROCESS, Communicator, LostProcessError
from exitwave.engine.recipe import make_recipe
from exitwave.errors import InputError
from exitwave.jobs.checkpoints import Checkpoints, checkpoint_path, describe
from exitwave.jobs.continuation import continued
from exitwave.jobs.job import Inputs, Job
from exitwave.jobs.outcome import Outcome
from exitwave.jobs.report import Reporter, Silent, StopRequest
from exitwave.jobs.rescue import save_or_rescue
from exitwave.outputs import reserved
from exitwave.reconstruction.auto import leaves_open
from exitwave.reconstruction.checkpoint import Checkpoint, with_choices
from exitwave.scan import Result, Scan

if TYPE_CHECKING:
    from exitwave.reconstruction.iterate import Progress


RESERVE = 2.0
"""Seconds of a time limit for saving and judging the result."""
SHORTEST = 0.5
"""Smallest time limit in seconds that is left for the iterations."""


class PartialResultError(LostProcessError):
    """Another process was lost, and this process has saved the partial result."""


@dataclass(frozen=True)
class _Context:
    """What all parts of a run use."""

    job: Job
    reporter: Reporter
    stop: StopRequest
    communicator: Communicator


def run(
    job: Job,
    inputs: Inputs,
    reporter: Reporter | None = None,
    stop: StopRequest | None = None,
    communicator: Communicator = ONE_PROCESS,
    checkpoint: Checkpoint | None = None,
) -> list[Outcome]:
    """Run a job and save one result for each input.

    A single scan is prepared and settings are chosen (`exitwave.choose`) if the settings do not define how to
    reconstruct, unless ``job.as_is`` is set. When a stop is requested, the job saves the result of the current
    iteration and ends.

    Parameters
    ----------
    job : Job
        What to reconstruct and where to save it.
    inputs : Inputs
        The opened inputs; see `open_inputs`.
    reporter : Reporter, optional
        Receives the progress.
    stop : StopRequest, optional
        Ends the job early.
    communicator : Communicator
        The processes of this run. The first one saves.
    checkpoint : Checkpoint, optional
        The checkpoint from which the job resumes; `checkpoints.resumed` has returned the job.

    Returns
    -------
    list of Outcome
        One for each input.

    Raises
    ------
    InputError
        If the scan cannot be used, or a setting is unknown or out of range.
    OutputError
        If an output has become impossible since it was checked. The result is then saved in a temporary folder.
    PartialResultError
        If another process was lost, and this one has saved the partial result.
    RunError
        If the first iteration diverges, or if another process was lost and this one does not save.
    """
    context = _Context(job, reporter or Silent(), stop or StopRequest(), communicator)
    with ExitStack() as stack:
        for output in job.outputs if communicator.rank == 0 else ():
            stack.enter_context(reserved(output))
        return _run(context, inputs, checkpoint)


def _run(context: _Context, inputs: Inputs, checkpoint: Checkpoint | None) -> list[Outcome]:
    """Run a job whose outputs are reserved; see `run`."""
    job, communicator = context.job, context.communicator
    start = time.perf_counter()
    if checkpoint is None:
        _announce_checkpoint(context)
        data, settings = _choose(context, inputs)
        settings = _with_time_left(job, settings)
    else:
        data, settings = _resume(context, inputs, checkpoint)
    chosen = time.perf_counter()
    checkpoints = Checkpoints(
        job,
        communicator,
        context.reporter.announce,
        prepared="choices" in settings if checkpoint is None else checkpoint.facts["prepared"],
        identity=None if checkpoint is None else checkpoint.facts["identity"],
    )
    last, lost = _iterate(context, data, settings, checkpoints)
    results = last.results()
    iterated = time.perf_counter()
    if job.frc and not context.stop.requested and lost is None and communicator.rank == 0:
        results = [_with_frc(context, result) for result in results]
    halved = time.perf_counter()
    outputs = _save_all(context, results, last, lost)
    checkpoints.finish(complete=bool(last.stopped_by))
    seconds = {"open": inputs.seconds, "choose": chosen - start, **last.seconds}
    seconds |= {"halves": halved - iterated, "write": time.perf_counter() - halved}
    first = inputs.data[0]
    earlier = len(first.errors) if job.share is None and isinstance(first, Result) else 0
    return [Outcome(last, result, output, seconds, earlier) for result, output in zip(results, outputs, strict=True)]


def _choose(context: _Context, inputs: Inputs) -> tuple[Any, dict[str, Any]]:
    """Return the data and the settings of `exitwave.iterate`, prepared and chosen where the settings leave it open."""
    job, data, settings = context.job, inputs.data[0], inputs.settings
    if job.share is not None:
        return list(inputs.data), settings | {"share": job.share}
    if isinstance(data, Scan) and not job.as_is and leaves_open(settings):
        choose = partial(exitwave.choose, data, context.reporter.announce, quick=job.quick, **settings)
        chosen = context.communicator.first(choose)
        return chosen.scan, {"recipe": chosen.recipe, "choices": chosen.choices}
    if isinstance(data, Result):
        settings, says = continued(data, settings)
        context.reporter.announce(says)
    return data, settings


def _announce_checkpoint(context: _Context) -> None:
    """Say that there is a checkpoint from which this job does not resume."""
    path = checkpoint_path(context.job)
    if context.communicator.rank == 0 and path.exists():
        found = "an interrupted run has left the checkpoint"
        context.reporter.announce(
            f"{found} {path}; --resume would continue it. This run starts anew and will replace the checkpoint"
        )


def _resume(context: _Context, inputs: Inputs, checkpoint: Checkpoint) -> tuple[Any, dict[str, Any]]:
    """Return the data and the settings of `exitwave.iterate` that continue the run of a checkpoint."""
    job, communicator, facts = context.job, context.communicator, checkpoint.facts
    if len(checkpoint.processes) != communicator.size:
        found = f"{communicator.size} instead of {len(checkpoint.processes)}"
        remedy = "Start the same number of processes, or start again without --resume"
        raise InputError("The checkpoint is of another number of processes", found=found, remedy=remedy)
    context.reporter.announce(f"resuming after {describe(checkpoint)}")
    recipe = make_recipe(facts["recipe"])
    settings = {"recipe": recipe, "resume": checkpoint.processes[communicator.rank]}
    if job.share is not None:
        return list(inputs.data), settings | {"share": job.share}
    data = inputs.data[0]
    if isinstance(data, Scan):
        data, choices = with_choices(data, recipe, checkpoint.scan, prepare=facts["prepared"])
        settings |= {"choices": choices}
    return data, settings


def _with_time_left(job: Job, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with the time limit reduced by the time since the start of the command."""
    recipe = settings.get("recipe")
    limit = settings.get("seconds") if recipe is None else recipe.seconds
    if limit is None or job.started is None:
        return settings
    left = max(limit - (time.time() - job.started) - RESERVE, SHORTEST) / (3 if job.frc else 1)
    if recipe is None:
        return settings | {"seconds": left}
    return settings | {"recipe": recipe.model_copy(update={"seconds": left})}


def _iterate(
    context: _Context, data: Any, settings: dict[str, Any], checkpoints: Checkpoints
) -> tuple["Progress", LostProcessError | None]:
    """Iterate to the end or until a stop is requested, and write checkpoints; return the last iteration.

    If another process is lost after the first iteration, the process that saves also returns the error.
    """
    reporter, stop, communicator = context.reporter, context.stop, context.communicator
    how: dict[str, Any] = {"announce": reporter.announce, "communicator": communicator, "command": context.job.command}
    last = None
    try:
        for last in exitwave.iterate(data, **how, **settings):
            if context.job.frc and last.tile:
                raise _no_halves(last.tile)
            stop.has_result = True
            reporter.update(last)
            stop.requested = communicator.any(stop.requested)
            if stop.requested:
                checkpoints.at_stop(last)
                break
            checkpoints.after(last)
    except LostProcessError as error:
        if last is None or not communicator.saves():
            raise
        reporter.announce(str(error))
        return last, error
    assert last is not None  # a recipe has at least one iteration
    return last, None


def _no_halves(tile: str) -> InputError:
    """Return the error of a run with ``frc`` whose first process has only a tile of the object."""
    what = "--frc reconstructs two halves in one process, which needs the whole object"
    return InputError(what, found=f"a tile, {tile}", remedy="Leave --frc out, or use --set tiles=no")


class _StoppedError(Exception):
    """A stop was requested while the halves were reconstructed."""


def _with_frc(context: _Context, result: Result) -> Result:
    """Return the result with its resolution, or without it if a stop is requested during the measurement."""
    context.reporter.announce("reconstructing two halves of the scan to measure the resolution")

    def watch(half: int, progress: "Progress") -> None:
        if context.stop.requested:
            raise _StoppedError

    try:
        return replace(result, frc=exitwave.half_scan_frc(result, watch))
    except _StoppedError:
        return result
    except InputError as error:  # the input has changed: the result is saved without a resolution
        context.reporter.announce(str(error))
        return result


def _save_all(
    context: _Context, results: list[Result], last: "Progress", lost: LostProcessError | None
) -> tuple[Path, ...]:
    """Save the results in the process that saves, and return the files.

    Raises
    ------
    PartialResultError
        If another process was lost, after saving.
    """
    outputs = context.job.outputs
    if lost is not None and last.tile:  # do not replace an earlier, complete result
        outputs = tuple(output.with_stem(f"{output.stem}_tile") for output in outputs)
    context.stop.saving = True
    context.reporter.announce("saving")
    if context.communicator.rank == 0 or lost is not None:
        for result, output in zip(results, outputs, strict=True):
            job = context.job
            save_or_rescue(result, output, overwrite=job.overwrite, embed=job.embed)
    if lost is not None:
        raise _partial(lost, last, outputs)
    return outputs


def _partial(lost: LostProcessError, last: "Progress", outputs: tuple[Path, ...]) -> PartialResultError:
    """Return the error of a run that has lost a process and has saved its partial result."""
    where = ", ".join(map(str, outputs))
    remedy = f"The partial result was saved after {last.iteration} of {last.iterations} iterations: {where}. "
    remedy += f"Continue it: exitwave reconstruct {where}"
    if last.tile:
        remedy += f". It contains only the tile of one process, {last.tile}; the other rows are as at the start"
    return PartialResultError(lost.what, found=lost.found, remedy=remedy)
