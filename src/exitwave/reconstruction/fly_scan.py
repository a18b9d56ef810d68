"""Exposures of a fly scan in metres: offsets from the positions, and the exposures of the problem in pixels."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.algorithms.registry import ALGORITHMS, supporting
from exitwave.engine.model.fly_scan import Exposures, FlyScan
from exitwave.engine.problem import Problem
from exitwave.engine.recipe import Recipe
from exitwave.errors import InputError
from exitwave.reconstruction.loading import Grid


def exposure_offsets(positions: NDArray[np.float64], settings: FlyScan | None) -> NDArray[np.float64] | None:
    """Return the offsets of the exposures from the positions in metres, shape (npos, exposures, 2), columns x and y.

    None if the scan is not a fly scan. If the settings have no motion, the motion of a frame is the step to the next
    frame or from the previous one, whichever is shorter, because a scan jumps at the end of a line.

    Parameters
    ----------
    positions : ndarray of shape (npos, 3)
        Middle of the motion of every frame in metres, in the order of time.
    settings : FlyScan or None
        Number of exposures and the motion.
    """
    if settings is None:
        return None
    count = settings.exposures
    if settings.motion is not None:
        motion = np.tile(np.array(settings.motion), (len(positions), 1))
    else:
        steps = np.diff(positions[:, :2], axis=0)
        after, before = np.vstack([steps, steps[-1:]]), np.vstack([steps[:1], steps])
        shorter = np.hypot(*after.T) <= np.hypot(*before.T)
        motion = settings.duty * np.where(shorter[:, None], after, before)
    return ((np.arange(count) + 0.5) / count - 0.5)[:, None] * motion[:, None]


def exposure_positions(positions: NDArray[np.float64], offsets: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return the positions of all exposures in metres, shape (npos * exposures, 3); without offsets the positions."""
    if offsets is None:
        return positions
    exposures = np.repeat(positions, offsets.shape[1], axis=0)
    exposures[:, :2] += offsets.reshape(-1, 2)
    return exposures


def with_exposures(problem: Problem, offsets: NDArray[np.float64] | None, grid: Grid, recipe: Recipe) -> Problem:
    """Return the problem with exposures at offsets in metres, columns x and y; None: the problem as it is.

    Raises
    ------
    InputError
        If a stage's algorithm cannot do fly scans, or the sample is thick.
    """
    if offsets is None:
        return problem
    _check_algorithms(recipe)
    if problem.slices is not None:
        remedy = "Set slices to 1, or remove the setting fly"
        raise InputError("A fly scan cannot be reconstructed with several slices", found="both", remedy=remedy)
    return replace(problem, exposures=Exposures(offsets[..., ::-1] / _pixel(grid)))


def _check_algorithms(recipe: Recipe) -> None:
    """Refuse algorithms that do not support frames of several exposures."""
    for stage in recipe.stages:
        algorithm = ALGORITHMS.get(stage.algorithm)
        if not algorithm.fly_scan:
            remedy = f"Use one of {supporting('fly_scan')}"
            raise InputError("This algorithm does not support fly scans", found=stage.algorithm, remedy=remedy)
        if algorithm.refines_positions and stage.refinement("position_update"):
            remedy = f"Use one of {supporting('fly_scan', without='refines_positions')}"
            what = f"{stage.algorithm} does not refine positions in fly scans"
            raise InputError(what, found="position_update", remedy=remedy)


def offsets_in_metres(problem: Problem, grid: Grid) -> NDArray[np.float64] | None:
    """Return the offsets of a problem's exposures in metres, columns x and y; None: there are no exposures."""
    return None if problem.exposures is None else (problem.exposures.offsets * _pixel(grid))[..., ::-1]


def _pixel(grid: Grid) -> NDArray[np.float64]:
    """Return the object pixel (y, x) in metres."""
    return np.array([axis[1] - axis[0] for axis in grid])
