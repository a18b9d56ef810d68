"""Positions: the object pixel under the probe's centre in every frame, refined from the frames.

A displacement d of frame j changes its exit wave by d_y Y + d_x X, with Y and X the derivatives of the object along
rows and columns times the probe. The displacement that explains the correction best minimises
||chi_j - d_y Y - d_x X||^2:

    [ <Y, Y>  <Y, X> ] [ d_y ]   [ <Y, chi> ]
    [ <Y, X>  <X, X> ] [ d_x ] = [ <X, chi> ]

M. Odstrcil, A. Menzel and M. Guizar-Sicairos, Opt. Express 26, 3108 (2018), section 2.6; M. Guizar-Sicairos and J. R.
Fienup, Opt. Express 16, 7264 (2008). The mean displacement of all frames is subtracted, because the object would follow
it. The far field shows only a small part of Y and X, and chi contains phases from the wrong position of the frame. So d
is about a quarter of the error, in simulations a sixth to a third, and the default step is 4.

The object follows its frames. Therefore errors that many neighbours have in common, and errors larger than the detail
of the object, take many such steps. Momentum makes them up to 1 / (1 - momentum) times as long,

    v <- momentum v + d,   position <- position + v

as B. T. Polyak, USSR Comput. Math. Math. Phys. 4, 1 (1964). The refinement starts after two iterations: without an
object good positions become wrong, and later the object has adapted to wrong positions, which then converge from
smaller errors only.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from exitwave.engine.model import affine
from exitwave.engine.model.affine import Affine
from exitwave.engine.model.lost_frames import FIRST_ITERATION, PositionMemory, search
from exitwave.engine.model.refinement import Refinement
from exitwave.engine.model.responses import Responses
from exitwave.engine.problem import Problem
from exitwave.engine.settings import RefinementSettings, Schedule
from exitwave.engine.state import State
from exitwave.errors import Finding
from exitwave.findings import finding

DAMPING = 0.01
"""Damping of the displacements; see `solve_displacements`."""
OUTLIER, UNLIMITED = 10, 0.5
"""A displacement is at most so many times the median of all, unless it is below so many pixels."""
Displacements = NDArray[np.float64]


class PositionUpdate(RefinementSettings):
    """Settings of the refinement of the positions."""

    schedule: Schedule = Field(
        Schedule(start=2), description="iterations of the refinement; by default all after the first 2"
    )
    step: float = Field(4.0, gt=0, le=8, description="length of the step; 1 is a Gauss-Newton step")
    largest: float = Field(2.0, gt=0, description="longest step in object pixels")
    momentum: float = Field(0.9, ge=0, lt=1, description="part of a displacement that the next iteration repeats")
    search: bool = Field(True, description="search for frames whose positions are far off")
    affine: Affine | None = Field(
        None, description="pull the positions towards an affine transformation of the scan's; None: do not"
    )


def initialise(state: State, problem: Problem, settings: PositionUpdate) -> None:
    """Start from the positions of the problem."""
    positions = problem.pixels.astype(np.float64) if state.positions is None else state.positions
    state.positions = clip_positions(positions, problem)


def update(
    state: State, responses: Responses, settings: PositionUpdate, problem: Problem, memory: PositionMemory
) -> None:
    """Refine the positions of all frames."""
    assert state.positions is not None
    change = displacements(responses, settings.step, settings.largest)
    change -= change[problem.used].mean(0)
    velocity = memory.velocity = settings.momentum * memory.velocity + change
    moved = state.positions + velocity
    if settings.affine:
        moved = affine.pull_to_fit(moved, responses, settings.affine, problem)
    else:
        moved = affine.limit_ambiguous(moved, problem)
    state.positions = clip_positions(moved, problem)
    if settings.search and state.iteration >= FIRST_ITERATION:
        search(state, responses, problem, memory)


def displacements(responses: Responses, step: float, largest: float) -> Displacements:
    """Return the displacements of all frames, shape (npos, 2), outliers limited; 0 for frames without responses."""
    values = [np.nan_to_num(responses.response(name)) for name in ("y", "x", "yy", "xx", "yx")]
    change = step * solve_displacements(np.array(values), DAMPING)
    length = np.hypot(*change.T)
    limit = min(largest, max(UNLIMITED, OUTLIER * float(np.median(length))))
    return change * np.minimum(1, limit / np.maximum(length, np.finfo(float).tiny))[:, None]


def solve_displacements(responses: NDArray[np.float64], damping: float) -> Displacements:
    """Return the solutions d of ``[yy yx; yx xx] d = (y, x)``, shape (frames, 2).

    Parameters
    ----------
    responses : ndarray of shape (5, frames)
        y, x, yy, xx and yx of every frame.
    damping : float
        Added to the diagonal of every frame, relative to the mean diagonal of all frames. A frame without detail then
        keeps its position.
    """
    y, x, yy, xx, yx = responses
    if not len(y):
        return np.zeros((0, 2))
    added = damping * (yy + xx).mean() / 2 + np.finfo(float).tiny
    yy, xx = yy + added, xx + added
    determinant = np.maximum(yy * xx - yx**2, np.finfo(float).tiny)
    return np.stack([xx * y - yx * x, yy * x - yx * y], axis=1) / determinant[:, None]


def clip_positions(positions: NDArray[np.float64], problem: Problem) -> NDArray[np.float64]:
    """Return the positions, each at the nearest point within `Problem.reach`."""
    return np.clip(positions, *problem.reach)


def tile_limit_findings(state: State, problem: Problem) -> tuple[Finding, ...]:
    """Return a finding if frames have reached the edge of their tile of the object, and cannot move further."""
    if state.positions is None:
        return ()
    moved = np.abs(state.positions - problem.pixels).max(1)
    count = int((moved[problem.used] > problem.tile.largest_move - 0.01).sum())
    remedy = "Continue from the result, which cuts tiles anew around the frames, or set tiles to no"
    found = f"{count} frames have moved by {problem.tile.largest_move:g} pixels, as far as their tiles reach"
    return (finding("W236", "", found, "positions within the tiles", remedy),) if count else ()


REFINEMENT = Refinement(
    "position_update",
    PositionUpdate,
    initialise,
    update,
    "refine the positions",
    memory=PositionMemory,
    needs_gradients=True,
    order=10,
)
