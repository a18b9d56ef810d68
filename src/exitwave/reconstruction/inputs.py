"""The inputs of a run: scan, positions and object grid, from a scan or from an earlier result that is continued."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exitwave.analysis.finite import impossible_values
from exitwave.engine.model.detector_distance import LARGEST_CHANGE
from exitwave.engine.parallel.communicator import ONE_PROCESS, Communicator
from exitwave.engine.recipe import Recipe
from exitwave.errors import InputError
from exitwave.positions.grid import MARGIN, REFINEMENT_MARGIN, object_grid
from exitwave.reconstruction.fly_scan import exposure_offsets, exposure_positions
from exitwave.reconstruction.geometry import with_geometry
from exitwave.reconstruction.joint import JointFrames
from exitwave.reconstruction.loading import Grid
from exitwave.scan import Result, Scan


@dataclass(frozen=True, eq=False)
class Inputs:
    """What determines the problem of a run, before the frames are read."""

    scan: Scan
    recipe: Recipe
    positions: NDArray[np.float64]
    """Positions in metres, shape (npos, 3)."""
    grid: Grid
    offsets: NDArray[np.float64] | None = None
    """Offsets of the exposures in metres, shape (npos, exposures, 2), columns x and y; None: no fly scan."""
    earlier: Result | None = None
    """The result that is continued."""
    device: str = "cpu"
    communicator: Communicator = ONE_PROCESS

    @property
    def exposures(self) -> NDArray[np.float64]:
        """Positions of all exposures in metres, shape (npos * exposures, 3)."""
        return exposure_positions(self.positions, self.offsets)

    @property
    def object_shape(self) -> tuple[int, int]:
        """Shape (rows, columns) of the object."""
        return len(self.grid[0]), len(self.grid[1])

    @property
    def probe_shape(self) -> tuple[int, int]:
        """Shape (ny, nx) of the probe."""
        return _probe_shape(self.scan, self.recipe)

    @property
    def largest_move(self) -> int:
        """Number of pixels by which refinement may move a position."""
        return _largest_move(self.scan, self.recipe, self.exposures)


def make_inputs(data: Scan | Result, recipe: Recipe, device: str, communicator: Communicator) -> Inputs:
    """Return the inputs of a run.

    Raises
    ------
    InputError
        If a recipe cannot continue a result, or refines the positions of a joint scan.
    """
    if isinstance(data, Result):
        _check_continuation(data, recipe)
        offsets, grid = data.model.get("exposures"), (data.y, data.x)
        return Inputs(data.scan, recipe, data.positions, grid, offsets, data, device, communicator)
    scan = with_geometry(data, recipe)
    _check_joint(scan, recipe)
    offsets = exposure_offsets(scan.positions, recipe.fly)
    exposures = exposure_positions(scan.positions, offsets)
    margin = _largest_move(scan, recipe, exposures) or MARGIN
    grid = object_grid(exposures, _probe_shape(scan, recipe), scan.object_pixel, margin)
    return Inputs(scan, recipe, scan.positions, grid, offsets, None, device, communicator)


def _probe_shape(scan: Scan, recipe: Recipe) -> tuple[int, int]:
    """Return the shape (ny, nx) of the probe."""
    ny, nx = (recipe.detector.oversample * n for n in scan.patterns.shape[1:])
    return ny, nx


def _largest_move(scan: Scan, recipe: Recipe, exposures: NDArray[np.float64]) -> int:
    """Return the number of pixels by which refinement may move positions in metres; 0: no refinement."""
    distance, positions = (_refines(recipe, name) for name in ("distance_update", "position_update"))
    scaling = (
        LARGEST_CHANGE * float(np.ptp(exposures[:, :2], axis=0).max() / min(scan.object_pixel)) / 2 if distance else 0
    )
    return REFINEMENT_MARGIN + math.ceil(scaling) if distance or positions else 0


def _refines(recipe: Recipe, name: str) -> bool:
    """Return whether any stage has a refinement."""
    return any(stage.refinement(name) for stage in recipe.stages)


def _check_joint(scan: Scan, recipe: Recipe) -> None:
    """Refuse to refine the positions or the detector distance of a joint scan."""
    refined = [name for name in ("position_update", "distance_update") if _refines(recipe, name)]
    if refined and isinstance(scan.patterns, JointFrames):
        remedy = "Refine the positions of each scan separately first, or remove the setting"
        what = "Positions are not refined in a joint reconstruction"
        raise InputError(what, found=", ".join(refined), remedy=remedy)


def _check_values(earlier: Result) -> None:
    """Refuse to continue a result with values that are not finite, or without object or probe."""
    bad = {name: count for name, count in impossible_values(earlier).items() if name not in ("errors", "covered area")}
    empty = [name for name, wave in (("object", earlier.object), ("probe", earlier.probe)) if not wave.any()]
    if bad or empty:
        where, found = earlier.scan.path or "", ", ".join(f"{name} ({count})" for name, count in bad.items())
        what = "The result contains values that are not finite" if bad else f"The {empty[0]} of the result is zero"
        raise InputError(what, where=where, found=found, remedy="Start again from the scan")


def _check_continuation(earlier: Result, recipe: Recipe) -> None:
    """Refuse a result that cannot be right, and a recipe that contradicts its probe, geometry, exposures or frames."""
    _check_values(earlier)
    remedy = "Remove the setting, or start again from the scan"
    if recipe.probe == "auto" and earlier.recipe.get("probe") != "auto":
        raise InputError("A result continues from its own probe", found="probe: auto", remedy=remedy)
    if with_geometry(earlier.scan, recipe).near != earlier.scan.near:
        found = "settings geometry or source_distance that differ from it"
        raise InputError("A result keeps the geometry of its detector", found=found, remedy=remedy)
    if recipe.fly and earlier.recipe.get("fly") != recipe.fly.model_dump(mode="json"):
        raise InputError("A result keeps the exposures of its frames", found=f"fly: {recipe.fly}", remedy=remedy)
    held_out, frames = len(earlier.held_out), len(earlier.positions)
    if "holdout" in recipe.model_fields_set and abs(recipe.holdout * frames - held_out) > 1 + 0.01 * frames:
        found = f"holdout: {recipe.holdout}; {held_out} of {frames} frames are held out so far"
        raise InputError("A result keeps its held-out frames", found=found, remedy=remedy)
