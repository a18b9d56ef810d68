"""Reconstruct a scan, one iteration at a time."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from exitwave.engine.algorithms.registry import ALGORITHMS
from exitwave.engine.backends.create import move_to_backend
from exitwave.engine.model.positions import tile_limit_findings
from exitwave.engine.model.runner import StageRunner
from exitwave.engine.parallel.communicator import ONE_PROCESS, Communicator
from exitwave.engine.parallel.tiles import Tile
from exitwave.engine.recipe import Recipe, Stage, make_recipe
from exitwave.errors import Finding, InputError, RunError
from exitwave.reconstruction.coarse import coarsen
from exitwave.reconstruction.joint import join
from exitwave.reconstruction.result import make_result, make_results
from exitwave.reconstruction.run import LiveStage, Run
from exitwave.reconstruction.score import Score, Scorer
from exitwave.reconstruction.setup import set_up
from exitwave.reconstruction.snapshot import Restored, Snapshot, take
from exitwave.reconstruction.stopping import REMEDY, StopCriterion
from exitwave.scan import Decision, Result, Scan


@dataclass(frozen=True)
class Progress:
    """The progress of a reconstruction after an iteration; `result` may be called after any of them."""

    iteration: int
    """Iterations done, including those of continued runs."""
    iterations: int
    """Largest number of iterations to do."""
    algorithm: str
    """Algorithm of this iteration."""
    error: float
    """Error metric of this iteration."""
    holdout_error: float
    """Error metric on the held-out frames; NaN if there are none."""
    score: Score
    """Score of the held-out frames; its value is NaN if there are none."""
    frames_per_second: float
    """Frames times iterations per second of the iterations."""
    seconds: dict[str, float]
    """Seconds spent to prepare, compile and run."""
    findings: tuple[Finding, ...]
    """Findings of the reader and of the run: what was repaired or excluded, and why the run stopped."""
    settings: dict[str, Any]
    """The recipe with the values in use, and the device."""
    processes: int
    """Number of processes."""
    stopped_by: str
    """Why this is the last iteration: ``iterations``, ``seconds``, ``converged`` or ``divergence``; else empty."""
    _run: Run = field(repr=False)

    @property
    def tile(self) -> str:
        """Rows of the object that this process holds; empty: all."""
        tile = self._run.problem.tile
        return str(tile) if isinstance(tile, Tile) else ""

    def reference_deviances(self) -> tuple[float, float]:
        """Return the deviance of used frames, and that of held-out frames modelled by the mean pattern; see `score`."""
        run = self._run
        scorer = Scorer(run.problem)
        return scorer.used_deviance(run.state, run.backends[1]), scorer.null_deviance(run.problem)

    @property
    def scan(self) -> Scan:
        """The scan that is reconstructed, with its starting probe."""
        return self._run.scan

    @property
    def recipe(self) -> Recipe:
        """The recipe of the run."""
        return self._run.recipe

    @property
    def choices(self) -> tuple[Decision, ...]:
        """What was chosen automatically, and why."""
        return self._run.choices

    def snapshot(self) -> Snapshot:
        """Return what `iterate` needs to resume after this iteration, with the arrays of the run.

        All processes call this after the same iteration; each returns its own part. Use ``snapshot().copied()`` if the
        run continues.
        """
        return take(self._run)

    def result(self) -> Result:
        """Return the result after this iteration; its last error is that of the returned object and probe.

        If processes have tiles, the result of the first process has the whole object, and the others have 0 outside
        their stripe.
        """
        return make_result(self._run)

    def results(self) -> list[Result]:
        """Return the result of every scan of a joint reconstruction; otherwise a list with one result."""
        return make_results(self._run)


def iterate(
    data: Scan | Result | Sequence[Scan],
    recipe: Recipe | None = None,
    *,
    share: str | None = None,
    announce: Callable[[str], None] | None = None,
    choices: tuple[Decision, ...] = (),
    communicator: Communicator = ONE_PROCESS,
    command: str = "exitwave.reconstruct",
    resume: Snapshot | None = None,
    **settings: Any,
) -> Iterator[Progress]:
    """Reconstruct, and yield after every iteration.

    Parameters
    ----------
    data : Scan, Result or sequence of Scan
        A scan; or a result, which is continued with its object, probe and history; or several scans that are
        reconstructed jointly, which need ``share``.
    recipe : Recipe, optional
        All settings in one object.
    share : str, optional
        What several scans share: ``probe``, or ``both`` object and probe. They must agree in wavelength, object pixel
        and shape of the frames; if they share the object, also in the origin of their positions.
    announce : callable, optional
        Called with a message before work other than iterations that takes time.
    choices : tuple of Decision
        What was chosen automatically, and why (`choose`); stored in the result.
    command : str
        The command that is stored in the provenance of the result.
    resume : Snapshot, optional
        A snapshot of an interrupted run of the same data and recipe (`Progress.snapshot`). The run continues after its
        last iteration, with the same bits as without the interruption.
    communicator : Communicator
        The processes of the run. Each calls this function with the same arguments, continues to the same iteration, and
        calls `Progress.result` at the same iterations.
    **settings
        Single settings instead of a recipe; see `Recipe` and `Stage`.

    Yields
    ------
    Progress
        The progress after each iteration.

    Raises
    ------
    InputError
        If the scan cannot be used, or a setting is unknown or out of range.
    RunError
        If the reconstruction diverges in its first iteration.
    """
    joint = None
    if share is not None or isinstance(data, list | tuple):
        joint = join(data if isinstance(data, list | tuple) else [data], share)
        data = joint.scan
    if not isinstance(data, Scan | Result):
        remedy = "Open the file first: exitwave.open(path)"
        raise InputError("The data are neither a scan nor a result", found=type(data).__name__, remedy=remedy)
    if recipe is not None and settings:
        raise InputError(
            "Settings are given both in a recipe and one by one",
            found=", ".join(settings),
            remedy="Write the settings into the recipe, or remove them",
        )
    run = set_up(data, recipe or make_recipe(settings), announce or (lambda _: None), communicator)
    run.joint, run.choices, run.command = joint, choices, command
    restored = None if resume is None else Restored(resume, run.device)
    if restored is not None:
        restored.restore_history(run)
    for number in range(restored.stage if restored else 0, len(run.recipe.stages)):
        yield from _run_stage(run, number, restored)
        restored = None
        if run.stopped_by in ("seconds", "divergence"):
            return


def _run_stage(run: Run, number: int, restored: Restored | None) -> Iterator[Progress]:
    """Run one stage, from its start or from a snapshot.

    If the run ends, ``stopped_by`` is set before its last progress is yielded.
    """
    stage, last = run.recipe.stages[number], number == len(run.recipe.stages) - 1
    names = run.algorithm.split(" + ")
    run.algorithm = stage.algorithm if not run.algorithm else " + ".join([*names, *{stage.algorithm} - set(names)])
    run.two_grids = coarsen(run.state, stage.coarse) if stage.coarse > 1 else None
    state, backend = run.two_grids.coarse if run.two_grids else run.state, run.backends[stage.coarse]
    runner = StageRunner(ALGORITHMS.get(stage.algorithm), stage, state, backend.problem)
    move_to_backend(state, backend)
    scorer = Scorer(backend.problem)
    stop, reason = StopCriterion(run.recipe, stage, state, scorer, backend), ""
    run.live = LiveStage(number, (runner, stop))
    if restored is not None:
        restored.restore_stage(run, state)
    while not reason:
        start = time.perf_counter()
        state.decaying = stop.decaying(state.iteration, sum(run.seconds.values()))
        misfit = runner.iterate(state, backend)
        state.iteration += 1
        error, score = misfit.error, scorer.score(state, backend)
        run.seconds["run"] += _seconds_since(start, run.communicator)
        run.frames_done += len(run.problem.used)
        reason = stop.reason_to_stop(state, error, score, sum(run.seconds.values()))
        if reason == "divergence":
            if not run.errors:
                raise RunError("The reconstruction diverged in its first iteration", remedy=REMEDY)
            run.findings = (*run.findings, stop.undo_divergence(state))
            score = scorer.score(state, backend)
        else:
            score = stop.restore_best(state, score) if reason else score
            run.errors.append(error)
            run.holdout_errors.append(score.misfit.error)
            run.holdout_deviances.append(score.value)
        if reason in ("seconds", "divergence") or (reason and last):
            run.stopped_by = reason
        if reason:
            run.live = LiveStage(number)
            del stop, runner, scorer  # frees arrays as large as several objects before the result is made
            run.findings = (*run.findings, *tile_limit_findings(state, backend.problem))
        yield _progress(run, stage, score, reason if run.stopped_by == reason else "")
    run.state, run.two_grids = run.on_the_fine_grid(), None


def _seconds_since(start: float, communicator: Communicator) -> float:
    """Return the seconds since the start on the clock of the first process, so that all end at the same iteration."""
    return communicator.first(lambda: time.perf_counter() - start)


def _progress(run: Run, stage: Stage, score: Score, stopped_by: str) -> Progress:
    """Return the progress after the last iteration."""
    planned = sum(each.iterations for each in run.recipe.stages)
    return Progress(
        iteration=len(run.errors),
        iterations=run.earlier_iterations + planned,
        algorithm=stage.algorithm,
        error=run.errors[-1],
        holdout_error=run.holdout_errors[-1],
        score=score,
        frames_per_second=run.frames_done / run.seconds["run"],
        seconds=dict(run.seconds),
        findings=run.scan.findings + run.problem.findings + run.findings,
        settings=run.settings(),
        processes=run.communicator.size,
        stopped_by=stopped_by,
        _run=run,
    )


@overload
def reconstruct(data: Scan | Result, recipe: Recipe | None = None, **settings: Any) -> Result: ...


@overload
def reconstruct(data: Sequence[Scan], recipe: Recipe | None = None, *, share: str, **settings: Any) -> list[Result]: ...


def reconstruct(
    data: Scan | Result | Sequence[Scan], recipe: Recipe | None = None, *, share: str | None = None, **settings: Any
) -> Result | list[Result]:
    """Reconstruct a scan or several scans jointly, or continue a result; see `iterate` for the parameters.

    Ctrl-C ends the run and returns the result after the last iteration.

    Returns
    -------
    Result, or list of Result
        Object, probe, positions and history; ``result.save(path)`` writes it. Several scans give one result each.
    """
    last = None
    try:
        for progress in iterate(data, recipe, share=share, **settings):
            last = progress
    except KeyboardInterrupt:
        if last is None:
            raise
    assert last is not None  # a recipe has at least one iteration
    return last.result() if share is None else last.results()
