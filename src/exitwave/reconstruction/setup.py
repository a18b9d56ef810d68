"""Set up a run: load the problem, compile the loops, and make the starting state."""

import hashlib
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.algorithms.algorithm import Runner
from exitwave.engine.algorithms.registry import ALGORITHMS
from exitwave.engine.backends import device as devices
from exitwave.engine.backends.create import make_backend
from exitwave.engine.backends.host_memory import release_freed_memory
from exitwave.engine.model import background
from exitwave.engine.parallel.communicator import Communicator
from exitwave.engine.parallel.tiles import WHOLE_OBJECT
from exitwave.engine.problem import Problem
from exitwave.engine.recipe import Recipe, Stage
from exitwave.engine.state import MODEL_FIELDS, State
from exitwave.frames.input_record import InputRecord
from exitwave.reconstruction.coarse import crop
from exitwave.reconstruction.fly_scan import with_exposures
from exitwave.reconstruction.input_record import recording
from exitwave.reconstruction.inputs import Inputs, make_inputs
from exitwave.reconstruction.loading import load_problem
from exitwave.reconstruction.memory import check_memory
from exitwave.reconstruction.multislice import slice_positions, starting_object, with_slices
from exitwave.reconstruction.processes import check_processes, choose_tile, require_equal_inputs
from exitwave.reconstruction.run import Run
from exitwave.reconstruction.starting_probe import check_probe, fit_modes, starting_probe
from exitwave.scan import Result, Scan

Announce = Callable[[str], None]
"""Called with a message before work that takes time."""


def set_up(data: Scan | Result, recipe: Recipe, announce: Announce, communicator: Communicator) -> Run:
    """Return a run that is ready for its first iteration."""
    start = time.perf_counter()
    inputs = make_inputs(data, recipe, communicator.device(recipe.device), communicator)
    check_memory(inputs)
    digest = _start_digest(inputs)
    problem, z, records = _load(inputs, announce)
    loaded = time.perf_counter()
    announce("compiling the loops (up to a minute on the first run)")
    factors = sorted({1} | {stage.coarse for stage in recipe.stages})  # whole frames are needed for the result
    problems = {factor: problem if factor == 1 else crop(problem, factor) for factor in factors}
    for stage in recipe.stages:
        _warm_up(problems[stage.coarse], stage, inputs.device)
    release_freed_memory()
    compiled = time.perf_counter()
    state = _starting_state(inputs, problem, announce)
    threads = communicator.threads(recipe.threads)
    backends = {
        factor: make_backend(each, len(state.probe), threads, inputs.device) for factor, each in problems.items()
    }
    ready = time.perf_counter()
    run = Run(
        scan=inputs.scan,
        recipe=recipe,
        problem=problem,
        backends=backends,
        state=state,
        grid=inputs.grid,
        z=z,
        positions=inputs.positions,
        device=inputs.device,
        communicator=communicator,
        assumed_distance=float(inputs.scan.detector.distance),
        errors=[],
        holdout_errors=[],
        holdout_deviances=[],
        digest=digest,
        records=records,
        earlier_iterations=0,
        seconds={"prepare": loaded - start + ready - compiled, "compile": compiled - loaded, "run": 0.0},
    )
    if inputs.earlier:
        _continue(run, inputs.earlier)
    return run


def _continue(run: Run, earlier: Result) -> None:
    """Give a run the history of an earlier result."""
    run.errors, run.holdout_errors = list(earlier.errors), list(earlier.holdout_errors)
    missing = len(run.errors) - len(earlier.holdout_deviances)
    run.holdout_deviances = [math.nan] * missing + list(earlier.holdout_deviances)
    run.earlier_iterations, run.algorithm = len(earlier.errors), earlier.algorithm
    run.starting_object = earlier.object
    run.assumed_distance = float(earlier.model.get("assumed_distance", run.assumed_distance))


def _load(inputs: Inputs, announce: Announce) -> tuple[Problem, NDArray[np.float64] | None, tuple[InputRecord, ...]]:
    """Return the problem, the positions of the slices along the beam in metres, and the records of the frames."""
    scan, recipe, communicator, earlier = inputs.scan, inputs.recipe, inputs.communicator, inputs.earlier
    processes = f" in {communicator.size} processes" if communicator.size > 1 else ""
    announce(f"running on {devices.describe(inputs.device)}{processes}")
    announce(f"loading {len(scan.patterns)} frames")
    require_equal_inputs(inputs)
    tile = choose_tile(inputs)
    if tile is not WHOLE_OBJECT:
        announce(f"each process holds a tile of the object, the first one {tile}")
    with recording(scan, communicator) as recorded:
        problem = load_problem(
            recorded.scan,
            inputs.positions,
            inputs.grid,
            holdout=recipe.holdout,
            seed=recipe.seed,
            settings=recipe.detector,
            communicator=communicator,
            tile=tile,
        )
    if earlier:
        used = np.setdiff1d(np.union1d(problem.used, problem.held_out), earlier.held_out)
        problem = replace(problem, used=used, held_out=earlier.held_out)
    z = slice_positions(scan, problem, recipe, earlier)
    problem = with_slices(problem, scan, z)
    problem = with_exposures(problem, inputs.offsets, inputs.grid, recipe)
    check_processes(recipe, problem, communicator)
    return problem, z, recorded.records


def _warm_up(problem: Problem, stage: Stage, device: str) -> None:
    """Do one iteration of a stage on one frame, so that the time for compiling is not part of the iterations."""
    first = problem.subset(problem.used[:1]).trimmed()
    ones = np.ones(first.full_shape, np.complex64), np.ones((1, *first.shape), np.complex64)
    state = State(*ones, np.random.default_rng(0))
    if settings := stage.refinement("background_update"):
        background.initialise(state, first, settings)
    Runner(ALGORITHMS.get(stage.algorithm), stage).iterate(state, make_backend(first, 1, 1, device))


def _starting_state(inputs: Inputs, problem: Problem, announce: Announce) -> State:
    """Return the state before the first iteration, equal in all processes."""
    scan, recipe, earlier = inputs.scan, inputs.recipe, inputs.earlier
    if earlier:
        probe = fit_modes(check_probe(earlier.probe, problem.shape, "the result"), recipe.modes)
    else:
        probe = starting_probe(scan, problem, recipe, announce)
    probe = inputs.communicator.first(lambda: probe)
    rng = np.random.default_rng([recipe.seed, len(earlier.errors) if earlier else 0])
    state = State(starting_object(problem, earlier), probe, rng, probe_factors=_factors_of_monitor(scan, problem))
    return _with_refined_parameters(state, earlier) if earlier else state


def _factors_of_monitor(scan: Scan, problem: Problem) -> NDArray[np.float64] | None:
    """Return the probe factors that follow from the monitor, 1 on average, shape (npos,); None: no monitor."""
    if scan.monitor is None:
        return None
    amplitudes = np.sqrt(scan.monitor)
    return np.asarray(amplitudes / amplitudes[problem.used].mean())


def _with_refined_parameters(state: State, earlier: Result) -> State:
    """Return the state with the refined parameters of an earlier result beside object and probe."""
    for name, value in earlier.model.items():
        if name in MODEL_FIELDS:
            setattr(state, name, np.fft.ifftshift(value) if name == "background" else value)
    if state.distance is not None:  # relative to the distance of the result's scan, which is the refined one
        state.distance = np.ones(())
    return state


def _start_digest(inputs: Inputs) -> Callable[[], str]:
    """Return a function that returns the digest of the input file; in the first process, start computing it now."""
    digest: Callable[[], Any] = partial(digest_of, inputs.scan.path)
    return digest if inputs.communicator.rank else ThreadPoolExecutor(1).submit(digest).result


def digest_of(path: Path | None) -> str:
    """Return the SHA-256 of the input file.

    It is an empty string if the scan has no file, or none any more, or if the file changes while it is read.
    """
    try:
        with open(path or "", "rb") as file:
            before = os.fstat(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = os.stat(path or "")
    except OSError:
        return ""
    same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    return f"sha256:{digest}" if same else ""
