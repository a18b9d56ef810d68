"""Positions: where the probe's centre was in every frame, refined from the frames.

Moving frame j by d changes its exit wave by d_y Y + d_x X, with Y and X the derivatives of the object along rows and
columns times the probe. The move that explains best what the measured amplitudes ask for minimises
||chi_j - d_y Y - d_x X||^2,

    [ <Y, Y>  <Y, X> ] [ d_y ]   [ <Y, chi> ]
    [ <Y, X>  <X, X> ] [ d_x ] = [ <X, chi> ]

M. Odstrcil, A. Menzel and M. Guizar-Sicairos, Opt. Express 26, 3108 (2018), section 2.6; M. Guizar-Sicairos and J. R.
Fienup, Opt. Express 16, 7264 (2008). Moves of all frames by the same are left out: the object would follow. The far
field hardly shows much of Y and X, and chi keeps the phases that the frame has got from its wrong place: the move is
about a quarter of what is missing, in simulations a sixth to a third, whence a step of 4.

The object follows its frames, so that what many neighbours have in common, and what is larger than the object's detail,
takes many such moves. Momentum makes them up to 1 / (1 - momentum) times as far,

    v <- momentum v + d,   position <- position + v

as B. T. Polyak, USSR Comput. Math. Math. Phys. 4, 1 (1964). The first two iterations wait for an object, for without
one good positions go astray; later, the object settles around wrong positions, and leads from less far away.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from exitwave.engine.model import affine
from exitwave.engine.model.affine import Affine
from exitwave.engine.model.lost_frames import AFTER, PositionMemory, search
from exitwave.engine.model.refinement import Refinement
from exitwave.engine.model.responses import Responses
from exitwave.engine.problem import Problem
from exitwave.engine.settings import RefinementSettings, Schedule
from exitwave.engine.state import State
from exitwave.errors import Finding
from exitwave.findings import finding

DAMPING = 0.01
"""Of the mean diagonal of all frames, added to a frame's: one without detail stays where it is."""
OUTLIER, FREE = 10, 0.5
"""A move is no longer than so many times the median of all, unless it is within so many pixels."""
Moves = NDArray[np.float64]


class PositionUpdate(RefinementSettings):
    """How the positions are refined."""

    schedule: Schedule = Field(Schedule(start=2), description="when; by default after the first 2 iterations")
    step: float = Field(4.0, gt=0, le=8, description="length of the step")
    largest: float = Field(2.0, gt=0, description="longest step in object pixels")
    momentum: float = Field(0.9, ge=0, lt=1, description="part of a move that goes on in the next iteration")
    search: bool = Field(True, description="search for frames that are lost")
    affine: Affine | None = Field(None, description="draw the positions to an affine image of the scan's; None: do not")


def initialise(state: State, problem: Problem, settings: PositionUpdate) -> None:
    """Start from the positions of the problem."""
    positions = problem.pixels.astype(np.float64) if state.positions is None else state.positions
    state.positions = inside(positions, problem)


def update(state: State, told: Responses, settings: PositionUpdate, problem: Problem, memory: PositionMemory) -> None:
    """Refine the positions of all frames."""
    assert state.positions is not None
    move = moves(told, settings.step, settings.largest)
    move -= move[problem.used].mean(0)
    velocity = memory.velocity = settings.momentum * memory.velocity + move
    moved = state.positions + velocity
    moved = affine.drawn(moved, told, settings.affine, problem) if settings.affine else affine.bounded(moved, problem)
    state.positions = inside(moved, problem)
    if settings.search and state.iteration >= AFTER:
        search(state, told, problem, memory)


def moves(told: Responses, step: float, largest: float) -> Moves:
    """Return how far every frame wants to move, shape (npos, 2), robustly clipped; 0 for frames that were not asked."""
    asked = [np.nan_to_num(told.response(name)) for name in ("y", "x", "yy", "xx", "yx")]
    move = step * solve(np.array(asked), DAMPING)
    length = np.hypot(*move.T)
    limit = min(largest, max(FREE, OUTLIER * float(np.median(length))))
    return move * np.minimum(1, limit / np.maximum(length, np.finfo(float).tiny))[:, None]


def solve(told: NDArray[np.float64], damping: float) -> Moves:
    """Return the moves d, shape (frames, 2), of ``[yy yx; yx xx] d = (y, x)``; told is (y, x, yy, xx, yx) of all.

    ``damping`` times the mean diagonal of all frames is added to each, so that one without detail stays where it is.
    """
    y, x, yy, xx, yx = told
    if not len(y):
        return np.zeros((0, 2))
    added = damping * (yy + xx).mean() / 2 + np.finfo(float).tiny
    yy, xx = yy + added, xx + added
    determinant = np.maximum(yy * xx - yx**2, np.finfo(float).tiny)
    return np.stack([xx * y - yx * x, yy * x - yx * y], axis=1) / determinant[:, None]


def inside(positions: Moves, problem: Problem) -> Moves:
    """Return the positions, each moved no further than it must be to stay within `Problem.reach`."""
    return np.clip(positions, *problem.reach)


def stopped(state: State, problem: Problem) -> tuple[Finding, ...]:
    """Say whether frames stand at the edge of their tile of the object, and would perhaps have gone on in the whole."""
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
