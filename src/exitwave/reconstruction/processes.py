"""Several processes in one run: their common inputs, the recipes that they support, and the tile of each process."""

import hashlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

import exitwave
from exitwave.engine.algorithms.registry import ALGORITHMS, supporting
from exitwave.engine.parallel.communicator import Communicator
from exitwave.engine.parallel.tiles import WHOLE_OBJECT, WholeObject, make_tile
from exitwave.engine.problem import Problem
from exitwave.engine.recipe import Recipe
from exitwave.errors import InputError
from exitwave.positions.grid import to_pixels
from exitwave.reconstruction.inputs import Inputs

_WORK_ON_TILES = "all algorithms but ePIE, all refinements, and limits of amplitude and phase, supports and power"
"""The settings that work on tiles."""
_NEED_NEIGHBOURS = {
    "object_constraints": ("total_variation", "smoothness", "grid_artefact"),
    "probe_constraints": ("centre", "ramp"),
}
"""The constraints for which a pixel of the object depends on other pixels."""


def require_equal_inputs(inputs: Inputs) -> None:
    """Raise an InputError unless all processes have the same version, recipe, frames, positions and grid.

    Only then they may add up what each of them has read.
    """
    held_out = inputs.earlier.held_out if inputs.earlier else np.arange(0)
    shape = np.array(inputs.scan.patterns.shape)
    arrays: list[NDArray[Any]] = [shape, inputs.scan.used_frames, inputs.positions, *inputs.grid, held_out]
    digests = [hashlib.sha256(each.tobytes()).hexdigest() for each in arrays]
    recipe = inputs.recipe.model_dump_json(exclude={"device", "threads"})
    inputs.communicator.require_equal("scan and settings", (exitwave.__version__, recipe, *digests))


def check_processes(recipe: Recipe, problem: Problem, communicator: Communicator) -> None:
    """Raise an error if the recipe cannot run in several processes.

    Raises
    ------
    InputError
        If a stage updates after every frame, or a process would have no frame.
    """
    if communicator.size == 1:
        return
    unsupported = [stage.algorithm for stage in recipe.stages if not ALGORITHMS.get(stage.algorithm).processes]
    if unsupported:
        remedy = f"Use one process, or one of {supporting('processes')}"
        found = f"{unsupported[0]} in {communicator.size} processes"
        raise InputError("Updates after every frame need a single process", found=found, remedy=remedy)
    if communicator.size > len(problem.used):
        found = f"{communicator.size} processes for {len(problem.used)} frames"
        raise InputError("There are more processes than frames", found=found, remedy="Start fewer processes")


def choose_tile(inputs: Inputs) -> WholeObject:
    """Return the part of the object that this process holds: a tile on request, or if a GPU has too little memory."""
    scan, recipe, communicator = inputs.scan, inputs.recipe, inputs.communicator
    if recipe.tiles == "no" or not 1 < communicator.size <= len(scan.used_frames):
        return WHOLE_OBJECT
    if recipe.tiles == "auto" and not communicator.any(_exceeds_memory(inputs)):
        return WHOLE_OBJECT
    check_tiles(recipe, max(recipe.slices, inputs.earlier.slices if inputs.earlier else 1))
    rows = to_pixels(inputs.exposures, *inputs.grid)[:, 0].reshape(len(scan.patterns), -1)
    return make_tile(
        rows, scan.used_frames, inputs.object_shape, inputs.probe_shape[0], inputs.largest_move, communicator
    )


def _exceeds_memory(inputs: Inputs) -> bool:
    """Return whether the whole object does not fit on a GPU; see `cuda.memory.fits`."""
    if inputs.device == "cpu":
        return False
    from exitwave.engine.backends.cuda import memory

    known = inputs.earlier.probe if inputs.earlier else inputs.scan.probe
    modes = inputs.recipe.modes or (1 if known is None else known.size // math.prod(known.shape[-2:]))
    exposures = 1 if inputs.offsets is None else inputs.offsets.shape[1]
    return not memory.fits(inputs.device, inputs.object_shape, modes, exposures, inputs.probe_shape)


def check_tiles(recipe: Recipe, slices: int) -> None:
    """Raise an error if the recipe does not work on tiles of the object.

    Raises
    ------
    InputError
        If a stage is coarse or has a constraint that needs neighbouring pixels, or the sample is thick.
    """
    found = ["slices"] if slices > 1 else []
    for stage in recipe.stages:
        found += [f"coarse: {stage.coarse}"] if stage.coarse > 1 else []
        for group, names in _NEED_NEIGHBOURS.items():
            settings = getattr(stage, group)
            found += [f"{group}.{name}" for name in names if settings and getattr(settings, name)]
    if found:
        remedy = f"Remove it, or set tiles to no; these work on tiles: a thin sample, {_WORK_ON_TILES}"
        raise InputError("This needs the whole object, not tiles of it", found=", ".join(found), remedy=remedy)
