"""From a scan to a result, one iteration at a time."""

import datetime
import hashlib
import math
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, binary_opening

import exitwave
from exitwave.engine import coarse, fly, joint
from exitwave.engine.algorithms import adam, dm, epie, lsqml, ml, mpie, pie, raar, rpie
from exitwave.engine.cpu import CpuSweeps
from exitwave.engine.cpu_slices import make_sweeps
from exitwave.engine.geometry import placed
from exitwave.engine.geometry import refined as with_distance
from exitwave.engine.initial import check_probe, fit_modes, starting_probe
from exitwave.engine.joint import Joint, join, part_of
from exitwave.engine.model import background, check_constraints, constrain, refinements
from exitwave.engine.model.distance import REACH
from exitwave.engine.model.listen import Listening, Told
from exitwave.engine.problem import Grid, Problem, pose
from exitwave.engine.recipe import Recipe, Stage, make_recipe
from exitwave.engine.stopping import REMEDY, Watch
from exitwave.engine.sweeps import OWN, Misfit, State, Sums, Sweeps
from exitwave.engine.thick import balance, refined, slice_positions, starting_object, with_slices
from exitwave.errors import Finding, InputError, RunError
from exitwave.optics import orthogonalise
from exitwave.positions.grid import MARGIN, ROOM, object_grid, to_metres
from exitwave.scan import Result, Scan

Step = Callable[[State, Sweeps, Stage], Misfit]
ALGORITHMS: dict[str, Step] = {
    "rPIE": rpie.step,
    "ePIE": epie.step,
    "LSQ-ML": lsqml.step,
    "ML": ml.step,
    "Adam": adam.step,
    "PIE": pie.step,
    "mPIE": mpie.step,
    "DM": dm.step,
    "RAAR": raar.step,
}
COVERED = 0.25
"""Illumination of a pixel that counts as covered, relative to the median at the scan positions."""


@dataclass
class _Run:
    """What belongs to one run."""

    scan: Scan
    recipe: Recipe
    problem: Problem
    sweeps: dict[int, CpuSweeps]
    """Those of all frames (1), and of frames cropped by the factors that stages ask for."""
    state: State
    grid: Grid
    z: NDArray[np.float64] | None
    positions: NDArray[np.float64]
    assumed_distance: float
    """Distance of the detector in metres before any refinement."""
    errors: list[float]
    holdout_errors: list[float]
    digest: Future[str]
    earlier: int
    algorithm: str = ""
    stopped_by: str = "interrupted"
    findings: tuple[Finding, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    passed: int = 0
    joint: Joint | None = None
    """The scans that make the one that runs, where there are several."""
    pair: coarse.Pair | None = None
    """The state on two grids, while a coarse stage runs."""


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
    stopped_by: str
    """Why this is the last iteration: ``iterations``, ``seconds``, ``patience`` or ``divergence``; else empty."""
    _run: _Run = field(repr=False)

    def result(self) -> Result:
        """Return what there is, with the last error measured again on the object and probe returned."""
        return _result(self._run)

    def results(self) -> list[Result]:
        """Return what there is of every scan, in a list that has one element where there is one scan."""
        return _results(self._run)


def iterate(
    data: Scan | Result | Sequence[Scan],
    recipe: Recipe | None = None,
    *,
    share: str | None = None,
    announce: Callable[[str], None] | None = None,
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
        raise InputError("Settings come as a recipe or one by one, not both", found=", ".join(settings))
    run = _prepare(data, recipe or make_recipe(settings), announce or (lambda _: None))
    run.joint = together
    for number, stage in enumerate(run.recipe.stages, start=1):
        yield from _stage(run, stage, last=number == len(run.recipe.stages))
        if run.stopped_by in ("seconds", "divergence"):
            return


def _stage(run: _Run, stage: Stage, *, last: bool) -> Iterator[Progress]:
    """Run one stage. The reason why the run ends is known before its last iteration is handed out."""
    step, names = ALGORITHMS[stage.algorithm], run.algorithm.split(" + ")
    run.algorithm = stage.algorithm if not run.algorithm else " + ".join([*names, *{stage.algorithm} - set(names)])
    run.pair = coarse.coarsen(run.state, stage.coarse) if stage.coarse > 1 else None
    state, sweeps = run.pair.coarse if run.pair else run.state, run.sweeps[stage.coarse]
    state.iteration, state.settling, state.memory = 0, False, {}
    check_constraints(sweeps.problem, stage)
    for module, settings in refinements(stage):
        module.prepare(state, sweeps.problem, settings)
    watch = Watch(run.recipe, stage, state)
    ended = ""
    while not ended:
        start = time.perf_counter()
        state.settling = watch.settling(state.iteration, run.seconds["run"])
        misfit = _iterated(step, state, sweeps, stage)
        state.iteration += 1
        holdout = sweeps.misfit(state, run.problem.held_out).error
        run.seconds["run"] += time.perf_counter() - start
        run.passed += len(run.problem.used)
        ended = watch.look(state, misfit.error, holdout, run.seconds["run"])
        if ended == "divergence" and not run.errors:
            raise RunError("The reconstruction diverged in its first iteration", remedy=REMEDY)
        if ended == "divergence":
            run.findings = (*run.findings, watch.restore(state))
        else:
            run.errors.append(misfit.error)
            run.holdout_errors.append(holdout)
        if ended in ("seconds", "divergence") or (ended and last):
            run.stopped_by = ended
        if ended:  # what the stage kept is as large as several objects
            state.memory = {}
            del watch
        yield _progress(run, stage, ended if run.stopped_by == ended else "")
    run.state, run.pair = _on_the_fine_grid(run), None


def _iterated(step: Step, state: State, sweeps: CpuSweeps, stage: Stage) -> Misfit:
    """Do one iteration, refine the rest of the model, and impose what is known of object and probe."""
    active = list(refinements(stage, state.iteration))
    misfit = _refined(step, state, sweeps, stage, active) if active else step(state, sweeps, stage)
    constrain(state, sweeps.problem, stage)
    return misfit


def _refined(step: Step, state: State, sweeps: CpuSweeps, stage: Stage, active: list[tuple[ModuleType, Any]]) -> Misfit:
    """Do one iteration, then refine the rest of the model from what the frames have told in it."""
    if any(getattr(module, "ASKS", True) for module, _ in active):
        misfit, told = _listen(step, state, sweeps, stage, active)
    else:
        misfit, told = step(state, sweeps, stage), None
    for module, settings in active:
        module.update(state, told, settings, sweeps.problem)
    return misfit


def _listen(
    step: Step, state: State, sweeps: CpuSweeps, stage: Stage, active: list[tuple[ModuleType, Any]]
) -> tuple[Misfit, Told]:
    """Do one iteration, and return its misfit and what the frames have told in it."""
    followers = [(module, settings) for module, settings in active if hasattr(module, "follow")]

    def follow(frames: NDArray[np.int64], sums: Sums) -> None:
        for module, settings in followers:
            module.follow(state, frames, sums, settings, sweeps.problem)

    listening = Listening(sweeps, state, follow)
    misfit = step(state, listening, stage)
    return misfit, listening.complete(state)


def _on_the_fine_grid(run: _Run) -> State:
    """Return the state with what a coarse stage has found so far."""
    return run.pair.merged() if run.pair else run.state


def _progress(run: _Run, stage: Stage, stopped_by: str) -> Progress:
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
        settings=_settings(run),
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


def _prepare(data: Scan | Result, recipe: Recipe, announce: Callable[[str], None]) -> _Run:
    """Load the frames, compile, and set up the starting state."""
    earlier = data if isinstance(data, Result) else None
    scan = data.scan if isinstance(data, Result) else placed(data, recipe)
    if earlier:
        _check_continuing(earlier, recipe)
    digest = ThreadPoolExecutor(1).submit(_digest, scan.path)
    start = time.perf_counter()
    announce(f"loading {len(scan.patterns)} frames")
    positions = earlier.positions if earlier else scan.positions
    offsets = earlier.model.get("exposures") if earlier else fly.offsets(scan.positions, recipe.fly)
    if earlier:
        y, x = earlier.y, earlier.x
    else:
        y, x = _grid(scan, recipe, fly.places(positions, offsets))
    problem = pose(scan, positions, (y, x), holdout=recipe.holdout, seed=recipe.seed, settings=recipe.detector)
    if earlier:
        used = np.setdiff1d(np.union1d(problem.used, problem.held_out), earlier.held_out)
        problem = replace(problem, used=used, held_out=earlier.held_out)
    z = slice_positions(scan, problem, recipe, earlier)
    problem = with_slices(problem, scan, z)
    if offsets is not None:
        problem = _flying(problem, offsets, (y, x), recipe)
    loaded = time.perf_counter()
    announce("getting the compiled loops ready (some seconds on the first run)")
    problems = {factor: problem if factor == 1 else coarse.crop(problem, factor) for factor in _factors(recipe)}
    for stage in recipe.stages:
        _warm_up(problems[stage.coarse], stage)
    compiled = time.perf_counter()
    probe = _earlier_probe(earlier, problem, recipe) if earlier else starting_probe(scan, problem, recipe, announce)
    obj = starting_object(problem, earlier)
    done = len(earlier.errors) if earlier else 0
    sweeps = {factor: make_sweeps(each, len(probe), recipe.threads) for factor, each in problems.items()}
    return _Run(
        scan=scan,
        recipe=recipe,
        problem=problem,
        sweeps=sweeps,
        state=_own(State(obj, probe, np.random.default_rng([recipe.seed, done])), earlier),
        grid=(y, x),
        z=z,
        positions=positions,
        assumed_distance=float((earlier.model if earlier else {}).get("assumed_distance", scan.detector.distance)),
        errors=list(earlier.errors) if earlier else [],
        holdout_errors=list(earlier.holdout_errors) if earlier else [],
        digest=digest,
        earlier=done,
        algorithm=earlier.algorithm if earlier else "",
        seconds={"prepare": loaded - start + time.perf_counter() - compiled, "compile": compiled - loaded, "run": 0.0},
    )


def _grid(scan: Scan, recipe: Recipe, places: NDArray[np.float64]) -> Grid:
    """Return the coordinates of the object's pixels around some places; more where positions are refined."""
    names = ("position_update", "distance_update")
    refined = [name for name in names if any(getattr(stage, name) for stage in recipe.stages)]
    if refined and isinstance(scan.patterns, joint.JointFrames):
        remedy = "Refine the positions of each scan by itself first, or leave them as they are"
        raise InputError(
            "Positions are not refined while scans share something", found=", ".join(refined), remedy=remedy
        )
    margin = ROOM if refined else MARGIN
    if "distance_update" in refined:
        margin += math.ceil(REACH * float(np.ptp(places[:, :2], axis=0).max() / min(scan.object_pixel)) / 2)
    ny, nx = (recipe.detector.oversample * n for n in scan.patterns.shape[1:])
    return object_grid(places, (ny, nx), scan.object_pixel, margin)


def _flying(problem: Problem, offsets: NDArray[np.float64], grid: Grid, recipe: Recipe) -> Problem:
    """Return the problem with exposures beside its positions in metres, columns x and y."""
    fly.check([stage.algorithm for stage in recipe.stages])
    if problem.slices is not None:
        remedy = "Leave the slices out, or the exposures"
        raise InputError("A thick sample cannot be reconstructed from a fly scan", found="both", remedy=remedy)
    pixel = np.array([axis[1] - axis[0] for axis in grid])
    return replace(problem, exposures=fly.Exposures(offsets[..., ::-1] / pixel))


def _own(state: State, earlier: Result | None) -> State:
    """Return the state with what an earlier result has learnt beside object and probe."""
    for name, value in (earlier.model if earlier else {}).items():
        if name in OWN:
            setattr(state, name, np.fft.ifftshift(value) if name == "background" else value)
    if state.distance is not None:  # the scan of a result has the distance that was found
        state.distance = np.ones(())
    return state


def _check_continuing(earlier: Result, recipe: Recipe) -> None:
    """Refuse what would have to start again: a result goes on from its own probe, and keeps the frames it held out."""
    remedy = "Leave the setting out, or start again from the scan"
    if recipe.probe == "auto" and earlier.recipe.get("probe") != "auto":
        raise InputError("A result continues from its own probe", found="probe: auto", remedy=remedy)
    if placed(earlier.scan, recipe).near != earlier.scan.near:
        raise InputError("A result keeps the geometry of its detector", found="another one", remedy=remedy)
    if recipe.fly and earlier.recipe.get("fly") != recipe.fly.model_dump(mode="json"):
        raise InputError("A result keeps the exposures of its frames", found=f"fly: {recipe.fly}", remedy=remedy)
    held_out, frames = len(earlier.held_out), len(earlier.positions)
    if "holdout" in recipe.model_fields_set and abs(recipe.holdout * frames - held_out) > 1 + 0.01 * frames:
        found = f"holdout: {recipe.holdout}, and {held_out} of {frames} frames held out so far"
        raise InputError("A result keeps the frames that it has held out", found=found, remedy=remedy)


def _earlier_probe(earlier: Result, problem: Problem, recipe: Recipe) -> NDArray[np.complex64]:
    """Return the modes from which an earlier result goes on."""
    return fit_modes(check_probe(earlier.probe, problem.shape, "the result"), recipe.modes)


def _factors(recipe: Recipe) -> list[int]:
    """Return by how much the frames are cropped at one time or another; 1 is always among them, for the result."""
    return sorted({1} | {stage.coarse for stage in recipe.stages})


def _warm_up(problem: Problem, stage: Stage) -> None:
    """Do one iteration of a stage on one frame, so that compiling is not counted as iterating."""
    first = replace(problem, used=problem.used[:1])
    ones = np.ones(first.full_shape, np.complex64), np.ones((1, *first.shape), np.complex64)
    state = State(*ones, np.random.default_rng(0))
    if stage.background_update:
        background.prepare(state, first, stage.background_update)
    ALGORITHMS[stage.algorithm](state, make_sweeps(first, 1, 1), stage)


def _settings(run: _Run) -> dict[str, Any]:
    """Return the recipe as it runs, and the device."""
    resolved: dict[str, Any] = {"modes": len(run.state.probe), "threads": run.sweeps[1].threads}
    if run.z is not None:
        resolved |= {"slices": len(run.z), "slice_spacing": float(run.z[1])}
    return run.recipe.model_dump(mode="json") | resolved | {"device": "cpu"}


def _digest(path: Path | None) -> str:
    """Return the SHA-256 of the input file, or nothing for a scan that has none (any more)."""
    try:
        with open(path or "", "rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _result(run: _Run) -> Result:
    """Return the result of a run as it stands."""
    problem = run.problem
    state = _fix_gauge(run)
    scan, grid = with_distance(run.scan, run.grid, problem, state)
    seen = run.sweeps[1].gather(state, problem.used, probe=False).illumination
    illumination = (seen[0] if problem.slices else seen).copy()
    pixels = problem.pixels if state.positions is None else state.positions
    rows, columns = np.rint(pixels[problem.used]).astype(int).T
    errors, holdout = np.array(run.errors, np.float32), np.array(run.holdout_errors, np.float32)
    errors[-1] = run.sweeps[1].misfit(state, problem.used).error
    return Result(
        scan=scan,
        object=state.object,
        probe=state.probe,
        x=grid[1],
        y=grid[0],
        z=refined(run.z, state),
        positions=_in_metres(run, state, grid),
        model=_learnt(state) | _exposures(run) | _distances(run, scan, state),
        mask=_covered(illumination, illumination[rows, columns]),
        errors=errors,
        holdout_errors=holdout if len(problem.held_out) else holdout[:0],
        held_out=problem.held_out,
        algorithm=run.algorithm,
        recipe={key: value for key, value in _settings(run).items() if key != "device"},
        provenance={
            "program": "exitwave",
            "version": exitwave.__version__,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "stopped_by": run.stopped_by,
            "device": "cpu",
            "input": str(run.scan.path or ""),
            "digest": run.digest.result(),
        },
    )


def _results(run: _Run) -> list[Result]:
    """Return the result of every scan, with the errors of its own frames."""
    whole = _result(run)
    if run.joint is None:
        return [whole]
    state, results = _fix_gauge(run), []
    for part in run.joint.parts:
        error, holdout = (
            run.sweeps[1].misfit(state, part.among(group)).error for group in (run.problem.used, run.problem.held_out)
        )
        results.append(part_of(whole, part, error, holdout, _digest(part.scan.path)))
    return results


def _exposures(run: _Run) -> dict[str, NDArray[np.float64]]:
    """Return where the exposures of a fly scan are beside the positions in metres, columns x and y."""
    if run.problem.exposures is None:
        return {}
    pixel = np.array([axis[1] - axis[0] for axis in run.grid])
    return {"exposures": (run.problem.exposures.offsets * pixel)[..., ::-1]}


def _learnt(state: State) -> dict[str, NDArray[Any]]:
    """Return what the state has learnt, as in `Result.model`: detector arrays have zero frequency at n//2 there."""
    learnt = {name: value for name, value in state.own.items() if name not in ("positions", "spacing")}
    return learnt | {name: np.fft.fftshift(value) for name, value in learnt.items() if name == "background"}


def _distances(run: _Run, scan: Scan, state: State) -> dict[str, NDArray[np.float64]]:
    """Return the distance of the detector that was found, and the one assumed at first, in metres."""
    if state.distance is None:
        return {}
    return {"distance": np.array(scan.detector.distance), "assumed_distance": np.array(run.assumed_distance)}


def _in_metres(run: _Run, state: State, grid: Grid) -> NDArray[np.float64]:
    """Return the positions that were used, shape (npos, 3)."""
    if state.positions is None:
        return run.positions
    positions = run.positions.copy()
    positions[:, [1, 0]] = to_metres(state.positions, *grid)
    return positions


def _fix_gauge(run: _Run) -> State:
    """Return a copy of the state with what the frames leave free chosen: the modes, and the scale of the object.

    The modes become orthogonal, the strongest first, and the probe gets the mean counts of a frame as its power, so
    that the object's amplitude is about 1; limits of the object have chosen its scale already. Slices get the same
    power. What no stage updates stays as it is, and so does a first mode that varies from frame to frame: mixed with
    others it would make them vary too, and those do not.
    """
    state, recipe = _on_the_fine_grid(run), run.recipe
    obj, probe, variations = state.object.copy(), state.probe.copy(), state.variations
    if recipe.updates_probe:
        free = probe[0 if variations is None else 1 :]
        if len(free) > 1:
            free[:] = orthogonalise(free)
    if recipe.updates_probe and recipe.updates_object and not recipe.limits_object:
        factor = np.float32(np.sqrt(run.problem.photons) / np.linalg.norm(probe))
        obj /= factor ** np.float32(1 / len(obj) if run.problem.slices else 1)
        probe *= factor
        variations = None if variations is None else variations * factor
    if run.problem.slices and recipe.updates_object and not recipe.limits_object:
        balance(obj)
    return replace(state, object=obj, probe=probe, variations=variations)


def _covered(illumination: NDArray[np.float32], at_positions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return where the beam has been, 1 or 0, without holes and without the streaks of the probe's rim."""
    bright = illumination > COVERED * np.median(at_positions)
    return binary_opening(binary_fill_holes(bright), iterations=4).astype(np.float32)
