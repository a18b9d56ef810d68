"""From a run, wherever it stands, to its result."""

import datetime
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, binary_opening

import exitwave
from exitwave.engine.backends.create import make_backend
from exitwave.engine.parallel.communicator import ONE_PROCESS
from exitwave.engine.parallel.tiles import Tile
from exitwave.engine.problem import Problem
from exitwave.engine.state import State
from exitwave.optics import orthogonalise
from exitwave.positions.grid import to_metres
from exitwave.reconstruction.geometry import refined as with_distance
from exitwave.reconstruction.joint import part_of
from exitwave.reconstruction.loading import Grid, load_counts
from exitwave.reconstruction.multislice import balance, refined
from exitwave.reconstruction.setup import Run, digest_of
from exitwave.scan import Result, Scan

COVERED = 0.25
"""Illumination of a pixel that counts as covered, relative to the median at the scan positions."""


def result(run: Run) -> Result:
    """Return the result of a run as it stands."""
    if run.communicator.lost:
        _take_over(run)
    problem = run.problem
    state = _fix_gauge(run)
    scan, grid = with_distance(run.scan, run.grid, problem, state)
    seen = run.backend[1].gather(state, problem.used, probe=False).probe_density
    probe_density = problem.tile.assembled(seen[0] if problem.slices else seen, 0)
    pixels = problem.pixels if state.positions is None else state.positions
    lit = problem.used if problem.communicator.size > 1 else problem.used[problem.local(problem.used)[0]]
    mask = np.zeros(probe_density.shape, np.float32)
    if problem.tile.complete:
        mask = _covered(probe_density, *np.rint(pixels[lit]).astype(int).T)
    errors, holdout = np.array(run.errors, np.float32), np.array(run.holdout_errors, np.float32)
    errors[-1] = run.backend[1].misfit(state, problem.used).error
    return Result(
        scan=_accounted(scan, problem),
        object=problem.tile.assembled(state.object, run.before),
        probe=state.probe,
        x=grid[1],
        y=grid[0],
        z=refined(run.z, state),
        positions=_in_metres(run, state, grid),
        model=_learnt(state) | _exposures(run) | _distances(run, scan, state),
        mask=mask,
        errors=errors,
        holdout_errors=holdout if len(problem.held_out) else holdout[:0],
        held_out=problem.held_out,
        algorithm=run.algorithm,
        choices=run.choices,
        recipe=run.settings() | {"device": run.recipe.device},
        provenance={
            "program": "exitwave",
            "version": exitwave.__version__,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "command": run.command,
            "stopped_by": run.stopped_by,
            "device": run.device,
            "input": str(run.scan.path or ""),
            "digest": run.communicator.first(run.digest),
        },
    )


def _accounted(scan: Scan, problem: Problem) -> Scan:
    """Return the scan with the frames that were left out because they hold no counts."""
    empty = np.setdiff1d(scan.used_frames, np.union1d(problem.used, problem.held_out))
    more = {"no counts": tuple(empty.tolist())} if len(empty) else {}
    return replace(scan, left_out=scan.left_out | more)


def results(run: Run) -> list[Result]:
    """Return the result of every scan, with the errors of its own frames."""
    whole = result(run)
    if run.joint is None:
        return [whole]
    state, found = _fix_gauge(run), []
    for part in run.joint.parts:
        error, holdout = (
            run.backend[1].misfit(state, part.among(group)).error for group in (run.problem.used, run.problem.held_out)
        )
        found.append(part_of(whole, part, error, holdout, run.communicator.first(partial(digest_of, part.scan.path))))
    return found


def _take_over(run: Run) -> None:
    """Go on alone where others are lost: with the frames of all, which this process reads now, or with its tile."""
    if run.problem.local_frames is None:
        return
    if isinstance(run.problem.tile, Tile):
        run.problem = replace(run.problem, communicator=ONE_PROCESS, tile=run.problem.tile.alone())
    else:
        stack, invalid, _ = load_counts(run.scan, run.recipe.detector)
        run.problem = replace(run.problem, counts=stack, invalid=invalid, local_frames=None, communicator=ONE_PROCESS)
    threads = run.backend.pop(1).threads  # and what it has on the device
    run.backend[1] = make_backend(run.problem, len(run.state.probe), threads, run.device)


def _exposures(run: Run) -> dict[str, NDArray[np.float64]]:
    """Return where the exposures of a fly scan are beside the positions in metres, columns x and y."""
    if run.problem.exposures is None:
        return {}
    pixel = np.array([axis[1] - axis[0] for axis in run.grid])
    return {"exposures": (run.problem.exposures.offsets * pixel)[..., ::-1]}


def _learnt(state: State) -> dict[str, NDArray[Any]]:
    """Return what the state has learnt, as in `Result.model`: detector arrays have zero frequency at n//2 there."""
    learnt = {name: value for name, value in state.model_arrays.items() if name not in ("positions", "slice_spacing")}
    return learnt | {name: np.fft.fftshift(value) for name, value in learnt.items() if name == "background"}


def _distances(run: Run, scan: Scan, state: State) -> dict[str, NDArray[np.float64]]:
    """Return the distance of the detector that was found, and the one assumed at first, in metres."""
    if state.distance is None:
        return {}
    return {"distance": np.array(scan.detector.distance), "assumed_distance": np.array(run.assumed_distance)}


def _in_metres(run: Run, state: State, grid: Grid) -> NDArray[np.float64]:
    """Return the positions that were used, shape (npos, 3)."""
    if state.positions is None:
        return run.positions
    positions = run.positions.copy()
    positions[:, [1, 0]] = to_metres(state.positions, *grid)
    return positions


def _fix_gauge(run: Run) -> State:
    """Return a copy of the state with what the frames leave free chosen: the modes, and the scale of the object.

    The modes become orthogonal, the strongest first, and the probe gets the mean counts of a frame as its power, so
    that the object's amplitude is about 1; limits of the object have chosen its scale already. Slices get the same
    power. What no stage updates stays as it is, and so does a first mode that varies from frame to frame: mixed with
    others it would make them vary too, and those do not.
    """
    state, recipe = run.on_the_fine_grid(), run.recipe
    obj, probe, opr_modes = state.object.copy(), state.probe.copy(), state.opr_modes
    if recipe.updates_probe:
        free = probe[0 if opr_modes is None else 1 :]
        if len(free) > 1:
            free[:] = orthogonalise(free)
    if recipe.updates_probe and recipe.updates_object and not recipe.limits_object:
        factor = np.float32(np.sqrt(run.problem.photons) / np.linalg.norm(probe))
        obj /= factor ** np.float32(1 / len(obj) if run.problem.slices else 1)
        probe *= factor
        opr_modes = None if opr_modes is None else opr_modes * factor
    if run.problem.slices and recipe.updates_object and not recipe.limits_object:
        balance(obj)
    return replace(state, object=obj, probe=probe, opr_modes=opr_modes)


def _covered(probe_density: NDArray[Any], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return where the beam has been, 1 or 0, without holes and without the streaks of the probe's rim."""
    bright = probe_density > COVERED * np.median(probe_density[rows, columns])
    return binary_opening(binary_fill_holes(bright), iterations=4).astype(np.float32)
