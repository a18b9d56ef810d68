"""From a scan to a result, one iteration at a time."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from exitwave.engine.algorithms.registry import ALGORITHMS
from exitwave.engine.backends.create import move_to_backend
from exitwave.engine.model.positions import stopped
from exitwave.engine.model.runner import StageRunner
from exitwave.engine.parallel.communicator import ONE_PROCESS, Communicator
from exitwave.engine.parallel.tiles import Tile
from exitwave.engine.recipe import Recipe, Stage, make_recipe
from exitwave.errors import Finding, InputError, RunError
from exitwave.reconstruction import coarse
from exitwave.reconstruction import result as finish
from exitwave.reconstruction.joint import join
from exitwave.reconstruction.setup import Run, prepare
from exitwave.reconstruction.stopping import REMEDY, Watch
from exitwave.scan import Decision, Result, Scan


@dataclass(frozen=True)
class Progress:
    """How far a reconstruction is, after an iteration. `result` can be called at any of them."""

    iteration: int
    """Iterations done, counted over continued runs."""
    iterations: int
    """Iterations to do, at most."""
    algorithm: str
    """The algorithm of this iteration."""
    error: float
    """Error metric of this iteration."""
    holdout_error: float
    """The same on the frames held out; NaN where there are none."""
    frames_per_second: float
    """Frames times iterations over the seconds spent iterating."""
    seconds: dict[str, float]
    """Seconds spent to prepare, compile and run."""
    findings: tuple[Finding, ...]
    """What the reader and the engine had to repair, leave out or stop for."""
    settings: dict[str, Any]
    """The recipe as it runs, and the device."""
    processes: int
    """Processes that share the frames."""
    stopped_by: str
    """Why this is the last iteration: ``iterations``, ``seconds``, ``patience`` or ``divergence``; else empty."""
    _run: Run = field(repr=False)

    @property
    def tile(self) -> str:
        """Which rows of the object this process has; empty: all."""
        tile = self._run.problem.tile
        return str(tile) if isinstance(tile, Tile) else ""

    def result(self) -> Result:
        """Return what there is, with the last error measured again on the object and probe returned.

        Where processes have tiles, the result of the first one has the whole object, and that of others 0 elsewhere.
        """
        return finish.result(self._run)

    def results(self) -> list[Result]:
        """Return what there is of every scan, in a list that has one element where there is one scan."""
        return finish.results(self._run)


def iterate(
    data: Scan | Result | Sequence[Scan],
    recipe: Recipe | None = None,
    *,
    share: str | None = None,
    announce: Callable[[str], None] | None = None,
    choices: tuple[Decision, ...] = (),
    communicator: Communicator = ONE_PROCESS,
    command: str = "exitwave.reconstruct",
    **settings: Any,
) -> Iterator[Progress]:
    """Reconstruct, and yield after every iteration.

    Parameters
    ----------
    data : Scan, Result or sequence of Scan
        What was measured; a result continues from its object, probe and history. Several scans are reconstructed in
        one, and need ``share``.
    recipe : Recipe, optional
        The settings as one object.
    share : str, optional
        What several scans have in common: ``probe``, or ``both`` object and probe. They agree in wavelength, object
        pixel and shape of the frames; those with one object, in the origin of their positions too.
    announce : callable, optional
        Called with a sentence when something other than iterating takes its time.
    choices : tuple of Decision
        What has been chosen for it, and why (`choose`); the result remembers it.
    team : Alone
        The processes that do it together, each with the same arguments: a `Team`. All must go on to the same iteration,
        and call `Progress.result` alike.
    command : str
        The command that is stored in the provenance of the result.
    **settings
        The settings one by one; see `Recipe` and `Stage`.

    Yields
    ------
    Progress
        One for each iteration.

    Raises
    ------
    InputError
        If the scan cannot be used, or a setting is unknown or out of range.
    RunError
        If the reconstruction diverges in its first iteration.
    """
    together = None
    if share is not None or isinstance(data, list | tuple):
        together = join(data if isinstance(data, list | tuple) else [data], share)
        data = together.scan
    if not isinstance(data, Scan | Result):
        remedy = "Open the file first: exitwave.open(path)"
        raise InputError("Not a scan or a result", found=type(data).__name__, remedy=remedy)
    if recipe is not None and settings:
        raise InputError(
            "Settings come as a recipe or one by one, not both",
            found=", ".join(settings),
            remedy="Leave one of them out, or write the settings into the recipe",
        )
    run = prepare(data, recipe or make_recipe(settings), announce or (lambda _: None), communicator)
    run.joint, run.choices, run.command = together, choices, command
    for number, stage in enumerate(run.recipe.stages, start=1):
        yield from _stage(run, stage, last=number == len(run.recipe.stages))
        if run.stopped_by in ("seconds", "divergence"):
            return


def _stage(run: Run, stage: Stage, *, last: bool) -> Iterator[Progress]:
    """Run one stage. The reason why the run ends is known before its last iteration is handed out."""
    names = run.algorithm.split(" + ")
    run.algorithm = stage.algorithm if not run.algorithm else " + ".join([*names, *{stage.algorithm} - set(names)])
    run.pair = coarse.coarsen(run.state, stage.coarse) if stage.coarse > 1 else None
    state, backend = run.pair.coarse if run.pair else run.state, run.backend[stage.coarse]
    runner = StageRunner(ALGORITHMS.get(stage.algorithm), stage, state, backend.problem)
    move_to_backend(state, backend)
    watch = Watch(run.recipe, stage, state)
    ended = ""
    while not ended:
        start = time.perf_counter()
        state.decaying = watch.decaying(state.iteration, run.seconds["run"])
        misfit = runner.iterate(state, backend)
        state.iteration += 1
        error, holdout = misfit.error, backend.misfit(state, run.problem.held_out).error
        run.seconds["run"] += _since(start, run.communicator)
        run.passed += len(run.problem.used)
        ended = watch.look(state, error, holdout, run.seconds["run"])
        if ended == "divergence" and not run.errors:
            raise RunError("The reconstruction diverged in its first iteration", remedy=REMEDY)
        if ended == "divergence":
            run.findings = (*run.findings, watch.restore(state))
        else:
            run.errors.append(error)
            run.holdout_errors.append(holdout)
        if ended in ("seconds", "divergence") or (ended and last):
            run.stopped_by = ended
        if ended:  # what the stage kept is as large as several objects
            del watch, runner
            run.findings = (*run.findings, *stopped(state, backend.problem))
        yield _progress(run, stage, ended if run.stopped_by == ended else "")
    run.state, run.pair = run.on_the_fine_grid(), None


def _since(start: float, communicator: Communicator) -> float:
    """Return the seconds since the start on the clock of the first process: all must end at the same iteration."""
    return communicator.first(lambda: time.perf_counter() - start)


def _progress(run: Run, stage: Stage, stopped_by: str) -> Progress:
    """Return how far the run is."""
    planned = sum(each.iterations for each in run.recipe.stages)
    return Progress(
        iteration=len(run.errors),
        iterations=run.earlier + planned,
        algorithm=stage.algorithm,
        error=run.errors[-1],
        holdout_error=run.holdout_errors[-1],
        frames_per_second=run.passed / run.seconds["run"],
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
    """Reconstruct a scan, several scans in one, or continue a result; see `iterate` for the parameters.

    Ctrl-C ends the run and returns what there is.

    Returns
    -------
    Result, or list of Result
        Object, probe, positions and history; ``result.save(path)`` writes it. Several scans have a result each.
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
