"""How a reconstruction starts: frames, grid, probe and object, from a scan or an earlier result."""

import hashlib
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import exitwave
from exitwave.engine.algorithms.algorithm import Runner
from exitwave.engine.algorithms.registry import ALGORITHMS, supporting
from exitwave.engine.backend import Backend
from exitwave.engine.backends import device as devices
from exitwave.engine.backends.create import make_backend
from exitwave.engine.backends.host_memory import release_freed_memory
from exitwave.engine.model import background, fly_scan
from exitwave.engine.model.detector_distance import REACH
from exitwave.engine.parallel import passes as distributed
from exitwave.engine.parallel import tiles
from exitwave.engine.parallel.communicator import ONE_PROCESS, Communicator
from exitwave.engine.parallel.tiles import WHOLE_OBJECT, WholeObject
from exitwave.engine.problem import Problem
from exitwave.engine.recipe import Recipe, Stage
from exitwave.engine.state import MODEL_FIELDS, State, host_state
from exitwave.errors import Finding, InputError
from exitwave.positions.grid import MARGIN, REFINEMENT_MARGIN, object_grid, to_pixels
from exitwave.reconstruction import coarse, joint
from exitwave.reconstruction.geometry import placed
from exitwave.reconstruction.joint import Joint
from exitwave.reconstruction.loading import Grid, load_problem
from exitwave.reconstruction.multislice import slice_positions, starting_object, with_slices
from exitwave.reconstruction.starting_probe import check_probe, fit_modes, starting_probe
from exitwave.scan import Decision, Result, Scan


@dataclass
class Run:
    """What belongs to one run, from its start to its result."""

    scan: Scan
    recipe: Recipe
    problem: Problem
    backend: dict[int, Backend]
    """Those of all frames (1), and of frames cropped by the factors that stages ask for."""
    state: State
    grid: Grid
    z: NDArray[np.float64] | None
    positions: NDArray[np.float64]
    device: str
    """Where the passes are, see `device.resolve`."""
    assumed_distance: float
    """Distance of the detector in metres before any refinement."""
    errors: list[float]
    holdout_errors: list[float]
    digest: Callable[[], str]
    """Gives the SHA-256 of the input."""
    earlier: int
    algorithm: str = ""
    stopped_by: str = "interrupted"
    findings: tuple[Finding, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    passed: int = 0
    command: str = ""
    """The command that is stored in the provenance of the result."""
    choices: tuple[Decision, ...] = ()
    """What was chosen because nobody had said it."""
    joint: Joint | None = None
    """The scans that make the one that runs, where there are several."""
    communicator: Communicator = ONE_PROCESS
    """The processes that do it."""
    before: Any = 1
    """The object at the start, on the object's grid."""
    pair: coarse.Pair | None = None
    """The state on two grids, while a coarse stage runs."""

    def on_the_fine_grid(self) -> State:
        """Return the state with what a coarse stage has found so far."""
        if self.pair:
            return replace(self.pair, coarse=host_state(self.pair.coarse)).merged()
        return host_state(self.state)

    def settings(self) -> dict[str, Any]:
        """Return the recipe as it runs, and the device."""
        resolved: dict[str, Any] = {"modes": len(self.state.probe), "threads": self.backend[1].threads}
        if self.z is not None:
            resolved |= {"slices": len(self.z), "slice_spacing": float(self.z[1])}
        return self.recipe.model_dump(mode="json") | resolved | {"device": self.device}


def prepare(data: Scan | Result, recipe: Recipe, announce: Callable[[str], None], communicator: Communicator) -> Run:
    """Load the frames, compile, and set up the starting state."""
    earlier = data if isinstance(data, Result) else None
    scan = data.scan if isinstance(data, Result) else placed(data, recipe)
    if earlier:
        _check_continuing(earlier, recipe)
    digest: Callable[[], str] = partial(digest_of, scan.path)
    if communicator.rank == 0:  # on the side, and once for all processes
        digest = ThreadPoolExecutor(1).submit(digest).result
    start, device = time.perf_counter(), communicator.device(recipe.device)
    processes = f", in {communicator.size} processes" if communicator.size > 1 else ""
    announce(f"running on {devices.describe(device)}{processes}")
    announce(f"loading {len(scan.patterns)} frames")
    positions = earlier.positions if earlier else scan.positions
    offsets = earlier.model.get("exposures") if earlier else fly_scan.offsets(scan.positions, recipe.fly)
    if earlier:
        y, x = earlier.y, earlier.x
    else:
        y, x = _grid(scan, recipe, fly_scan.places(positions, offsets))
    held_out = earlier.held_out if earlier else np.arange(0)
    same = np.array(scan.patterns.shape), scan.used_frames, positions, y, x, held_out
    communicator.agree("the scan and the settings", _what_counts(recipe, *same))
    tile = _tile(scan, recipe, earlier, fly_scan.places(positions, offsets), (y, x), device, communicator)
    if tile is not WHOLE_OBJECT:
        announce(f"each process with a tile of the object, the first one with {tile}")
    how: dict[str, Any] = {"holdout": recipe.holdout, "seed": recipe.seed, "settings": recipe.detector}
    problem = load_problem(scan, positions, (y, x), communicator=communicator, tile=tile, **how)
    if earlier:
        used = np.setdiff1d(np.union1d(problem.used, problem.held_out), earlier.held_out)
        problem = replace(problem, used=used, held_out=earlier.held_out)
    z = slice_positions(scan, problem, recipe, earlier)
    problem = with_slices(problem, scan, z)
    if offsets is not None:
        problem = _flying(problem, offsets, (y, x), recipe)
    distributed.check(recipe, problem, communicator)
    loaded = time.perf_counter()
    announce("getting the loops ready (some seconds on the first run)")
    problems = {factor: problem if factor == 1 else coarse.crop(problem, factor) for factor in _factors(recipe)}
    for stage in recipe.stages:
        _warm_up(problems[stage.coarse], stage, device)
    release_freed_memory()
    compiled = time.perf_counter()
    probe = _earlier_probe(earlier, problem, recipe) if earlier else starting_probe(scan, problem, recipe, announce)
    probe = communicator.first(lambda: probe)
    obj = starting_object(problem, earlier)
    done = len(earlier.errors) if earlier else 0
    threads = communicator.threads(recipe.threads)
    backend = {factor: make_backend(each, len(probe), threads, device) for factor, each in problems.items()}
    return Run(
        scan=scan,
        recipe=recipe,
        problem=problem,
        backend=backend,
        state=_own(
            State(obj, probe, np.random.default_rng([recipe.seed, done]), probe_factors=_seen(scan, problem)), earlier
        ),
        grid=(y, x),
        z=z,
        positions=positions,
        device=device,
        communicator=communicator,
        before=earlier.object if earlier else 1,
        assumed_distance=float((earlier.model if earlier else {}).get("assumed_distance", scan.detector.distance)),
        errors=list(earlier.errors) if earlier else [],
        holdout_errors=list(earlier.holdout_errors) if earlier else [],
        digest=digest,
        earlier=done,
        algorithm=earlier.algorithm if earlier else "",
        seconds={"prepare": loaded - start + time.perf_counter() - compiled, "compile": compiled - loaded, "run": 0.0},
    )


def _what_counts(recipe: Recipe, *arrays: NDArray[Any]) -> tuple[str, ...]:
    """Return what all processes of a run must have alike, before they add up what each of them has read."""
    digests = [hashlib.sha256(each.tobytes()).hexdigest() for each in arrays]
    return (exitwave.__version__, recipe.model_dump_json(exclude={"device", "threads"}), *digests)


def _grid(scan: Scan, recipe: Recipe, places: NDArray[np.float64]) -> Grid:
    """Return the coordinates of the object's pixels around some places; more where positions are refined."""
    names = ("position_update", "distance_update")
    refined = [name for name in names if any(stage.refinement(name) for stage in recipe.stages)]
    if refined and isinstance(scan.patterns, joint.JointFrames):
        remedy = "Refine the positions of each scan by itself first, or leave them as they are"
        raise InputError(
            "Positions are not refined while scans share something", found=", ".join(refined), remedy=remedy
        )
    return object_grid(places, _probe_shape(scan, recipe), scan.object_pixel, _room(scan, recipe, places) or MARGIN)


def _probe_shape(scan: Scan, recipe: Recipe) -> tuple[int, int]:
    """Return the shape of the probe's array."""
    ny, nx = (recipe.detector.oversample * n for n in scan.patterns.shape[1:])
    return ny, nx


def _room(scan: Scan, recipe: Recipe, places: NDArray[np.float64]) -> int:
    """Return by how many pixels refined positions may move, of a scan with the probe at some places in metres."""
    stages = recipe.stages
    distance = any(stage.refinement("distance_update") for stage in stages)
    more = REACH * float(np.ptp(places[:, :2], axis=0).max() / min(scan.object_pixel)) / 2 if distance else 0
    positions = any(stage.refinement("position_update") for stage in stages)
    return REFINEMENT_MARGIN + math.ceil(more) if distance or positions else 0


def _tile(
    scan: Scan,
    recipe: Recipe,
    earlier: Result | None,
    places: NDArray[np.float64],
    grid: Grid,
    device: str,
    communicator: Communicator,
) -> WholeObject:
    """Return what of the object this process is to have, with the probe at some places in metres."""
    if recipe.tiles == "no" or not 1 < communicator.size <= len(scan.used_frames):
        return WHOLE_OBJECT
    shape, probe, count = (len(grid[0]), len(grid[1])), _probe_shape(scan, recipe), len(scan.patterns)
    known, views = earlier.probe if earlier else scan.probe, len(places) // count
    modes = recipe.modes or (1 if known is None else known.size // math.prod(known.shape[-2:]))
    if recipe.tiles == "auto" and not communicator.any(_too_large(device, shape, modes, views, probe)):
        return WHOLE_OBJECT
    distributed.refuse_tiles(recipe, max(recipe.slices, earlier.slices if earlier else 1))
    rows = to_pixels(places, *grid)[:, 0].reshape(count, views)
    return tiles.cut(rows, scan.used_frames, shape, probe[0], _room(scan, recipe, places), communicator)


def _too_large(device: str, *problem: Any) -> bool:
    """Say whether a problem does not fit on a GPU as a whole; see `cuda.memory.fits`."""
    if device == "cpu":
        return False
    from exitwave.engine.backends.cuda import memory

    return not memory.fits(device, *problem)


def _flying(problem: Problem, offsets: NDArray[np.float64], grid: Grid, recipe: Recipe) -> Problem:
    """Return the problem with exposures beside its positions in metres, columns x and y."""
    _check_fly_scan(recipe)
    if problem.slices is not None:
        remedy = "Leave the slices out, or the exposures"
        raise InputError("A thick sample cannot be reconstructed from a fly scan", found="both", remedy=remedy)
    pixel = np.array([axis[1] - axis[0] for axis in grid])
    return replace(problem, exposures=fly_scan.Exposures(offsets[..., ::-1] / pixel))


def _check_fly_scan(recipe: Recipe) -> None:
    """Refuse algorithms that do not support frames of several exposures."""
    for stage in recipe.stages:
        algorithm = ALGORITHMS.get(stage.algorithm)
        if not algorithm.fly_scan:
            remedy = f"Use one of {supporting('fly_scan')}"
            raise InputError("This algorithm does not support fly scans", found=stage.algorithm, remedy=remedy)
        if algorithm.refines_positions and stage.refinement("position_update"):
            remedy = f"Use one of {supporting('fly_scan', but='refines_positions')}"
            what = f"{stage.algorithm} does not refine positions in fly scans"
            raise InputError(what, found="position_update", remedy=remedy)


def _seen(scan: Scan, problem: Problem) -> NDArray[np.float64] | None:
    """Return the factor of the probe in every frame, 1 on average, that a monitor implies; None: there is none."""
    if scan.monitor is None:
        return None
    probe_factors = np.sqrt(scan.monitor)
    return np.asarray(probe_factors / probe_factors[problem.used].mean())


def _own(state: State, earlier: Result | None) -> State:
    """Return the state with what an earlier result has learnt beside object and probe."""
    for name, value in (earlier.model if earlier else {}).items():
        if name in MODEL_FIELDS:
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


def _warm_up(problem: Problem, stage: Stage, device: str) -> None:
    """Do one iteration of a stage on one frame, so that compiling is not counted as iterating."""
    first = problem.subset(problem.used[:1]).trimmed()
    ones = np.ones(first.full_shape, np.complex64), np.ones((1, *first.shape), np.complex64)
    state = State(*ones, np.random.default_rng(0))
    if settings := stage.refinement("background_update"):
        background.initialise(state, first, settings)
    Runner(ALGORITHMS.get(stage.algorithm), stage).iterate(state, make_backend(first, 1, 1, device))


def digest_of(path: Path | None) -> str:
    """Return the SHA-256 of the input file, or nothing for a scan that has none (any more)."""
    try:
        with open(path or "", "rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
