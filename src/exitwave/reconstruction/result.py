"""The result of a run, after any iteration."""

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
from exitwave.frames.input_record import InputRecord
from exitwave.optics import orthogonalise
from exitwave.positions.grid import to_metres
from exitwave.reconstruction.fly_scan import offsets_in_metres
from exitwave.reconstruction.geometry import refined_geometry
from exitwave.reconstruction.loading import Grid, load_counts
from exitwave.reconstruction.multislice import balance, refined_slices
from exitwave.reconstruction.run import Run
from exitwave.reconstruction.setup import digest_of
from exitwave.scan import Result, Scan, with_unreadable_frames

COVERED = 0.25
"""Probe density from which on a pixel is covered, relative to the median at the positions."""


def make_result(run: Run) -> Result:
    """Return the result of a run after its last iteration."""
    if run.communicator.lost:
        _continue_alone(run)
    problem, state = run.problem, _fix_gauge(run)
    scan, grid = refined_geometry(run.scan, run.grid, problem, state)
    errors, holdout_errors = np.array(run.errors, np.float32), np.array(run.holdout_errors, np.float32)
    deviances = np.array(run.holdout_deviances, np.float32)
    mask = _coverage(run, state)
    errors[-1] = run.backends[1].misfit(state, problem.used).error
    return Result(
        scan=_with_empty_frames(scan, problem),
        object=problem.tile.assemble(state.object, run.starting_object),
        probe=state.probe,
        x=grid[1],
        y=grid[0],
        z=refined_slices(run.z, state),
        positions=_refined_positions(run, state, grid),
        model=_model_arrays(run, scan, state),
        mask=mask,
        errors=errors,
        holdout_errors=holdout_errors if len(problem.held_out) else holdout_errors[:0],
        holdout_deviances=deviances if len(problem.held_out) else deviances[:0],
        held_out=problem.held_out,
        algorithm=run.algorithm,
        choices=run.choices,
        recipe=run.settings() | {"device": run.recipe.device},
        provenance=_provenance(run),
        input=run.records[0] if run.joint is None else InputRecord(),
    )


def make_results(run: Run) -> list[Result]:
    """Return the result of every scan, with the errors of its own frames."""
    joint = make_result(run)
    if run.joint is None:
        return [joint]
    state, found = _fix_gauge(run), []
    for member, record in zip(run.joint.members, run.records, strict=True):
        error, holdout_error = (
            run.backends[1].misfit(state, member.select(frames)).error
            for frames in (run.problem.used, run.problem.held_out)
        )
        digest = run.communicator.first(partial(digest_of, member.scan.path))
        found.append(member.result(joint, error, holdout_error, digest, record))
    return found


def _continue_alone(run: Run) -> None:
    """Make the run one of a single process after others were lost: read the other frames, or keep only the tile."""
    if run.problem.local_frames is None:
        return
    if isinstance(run.problem.tile, Tile):
        run.problem = replace(run.problem, communicator=ONE_PROCESS, tile=run.problem.tile.detached())
    else:
        counts, invalid, _ = load_counts(run.scan, run.recipe.detector)
        run.problem = replace(run.problem, counts=counts, invalid=invalid, local_frames=None, communicator=ONE_PROCESS)
    threads = run.backends.pop(1).threads  # frees the memory of the old backend on the device
    run.backends[1] = make_backend(run.problem, len(run.state.probe), threads, run.device)


def _fix_gauge(run: Run) -> State:
    """Return a copy of the state with the degrees of freedom fixed that the patterns do not determine.

    The modes become orthogonal, the strongest first. The power of the probe becomes the mean counts of a frame, so that
    the amplitude of the object is about 1, unless constraints of the object determine its scale. Slices get the same
    power. Quantities that no stage updates do not change. A first mode with OPR is not mixed with the others, because
    they would vary from frame to frame too.
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


def _coverage(run: Run, state: State) -> NDArray[np.float32]:
    """Return where the probe has illuminated the object, 1 or 0, without holes and without streaks at the rim.

    Of several processes with tiles only the first one has the coverage; the others get 0.
    """
    problem = run.problem
    density = run.backends[1].gather(state, problem.used, probe=False).probe_density
    density = problem.tile.assemble(density[0] if problem.slices else density, 0)
    if not problem.tile.complete:
        return np.zeros(density.shape, np.float32)
    frames = problem.used if problem.communicator.size > 1 else problem.used[problem.local(problem.used)[0]]
    pixels = problem.pixels if state.positions is None else state.positions
    rows, columns = np.rint(pixels[frames]).astype(int).T
    bright = density > COVERED * np.median(density[rows, columns])
    return binary_opening(binary_fill_holes(bright), iterations=4).astype(np.float32)


def _with_empty_frames(scan: Scan, problem: Problem) -> Scan:
    """Return the scan with the frames that are unreadable or have no counts among those that were left out."""
    scan = with_unreadable_frames(scan)
    empty = np.setdiff1d(scan.used_frames, np.union1d(problem.used, problem.held_out))
    more = {"no counts": tuple(empty.tolist())} if len(empty) else {}
    return replace(scan, left_out=scan.left_out | more)


def _refined_positions(run: Run, state: State, grid: Grid) -> NDArray[np.float64]:
    """Return the positions in metres after any refinement, shape (npos, 3)."""
    if state.positions is None:
        return run.positions
    positions = run.positions.copy()
    positions[:, [1, 0]] = to_metres(state.positions, *grid)
    return positions


def _model_arrays(run: Run, scan: Scan, state: State) -> dict[str, NDArray[Any]]:
    """Return the refined parameters of the model as in `Result.model`: detector arrays with zero frequency at n//2."""
    model = {name: value for name, value in state.model_arrays.items() if name not in ("positions", "slice_spacing")}
    if state.background is not None:
        model["background"] = np.fft.fftshift(state.background)
    exposures = offsets_in_metres(run.problem, run.grid)
    if exposures is not None:
        model["exposures"] = exposures
    if state.distance is not None:
        model["distance"] = np.array(scan.detector.distance)
        model["assumed_distance"] = np.array(run.assumed_distance)
    return model


def _provenance(run: Run) -> dict[str, Any]:
    """Return program, version, date, command, device, input file and the reason for the end of the run."""
    return {
        "program": "exitwave",
        "version": exitwave.__version__,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": run.command,
        "stopped_by": run.stopped_by,
        "device": run.device,
        "input": str(run.scan.path or ""),
        "digest": run.communicator.first(run.digest),
    }
