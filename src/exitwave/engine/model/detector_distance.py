"""The distance of the detector in the far field, or whatever else makes the object pixel wrong.

The object pixel is wavelength * distance / (n * detector pixel). Where one of these is wrong, the positions in pixels
are all wrong by one factor about their centre, p <- c + s (p - c), and the true distance is 1 / s of what was assumed.
With (y_j, x_j) the position of frame j from the centre, and Y and X as for positions (`engine.model.positions`), the
exit wave's derivative by s is y_j Y_j + x_j X_j, and a step of Gauss and Newton

    ds = sum_j (y_j <Y_j, chi_j> + x_j <X_j, chi_j>)
         / sum_j (y_j^2 <Y_j, Y_j> + 2 y_j x_j <Y_j, X_j> + x_j^2 <X_j, X_j>)

M. Guizar-Sicairos and J. R. Fienup, Opt. Express 16, 7264 (2008) for the gradient by positions, here under the
constraint that they scale together.

As with positions, the object holds on to the scale that it was found with, and chi shows little of what is missing. So
steps are longer than 1 and have momentum (B. T. Polyak, USSR Comput. Math. Math. Phys. 4, 1 (1964)).

A detector far behind a defocused beam sees the sample magnified by the distance over the defocus, so that a wrong scale
hides in the probe's defocus. With a known probe that is held, the scale converges in some tens of iterations; with a
probe that is found from the same frames it takes a hundred, and may stay half-way.

Where positions are refined as well, what they have in common is the distance's: it is read off all positions, by least
squares against those of the scan.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from exitwave.engine.model.positions import inside
from exitwave.engine.model.refinement import Refinement
from exitwave.engine.model.responses import Responses
from exitwave.engine.problem import Problem
from exitwave.engine.settings import RefinementSettings, Schedule
from exitwave.engine.state import Memory, State
from exitwave.errors import InputError

LARGEST = 0.01
"""Longest step, as a part of the scale."""
REACH = 0.1
"""Greatest change of the scale in a run."""
Positions = NDArray[np.float64]


class DistanceUpdate(RefinementSettings):
    """How the distance of the detector is refined."""

    schedule: Schedule = Field(Schedule(start=5), description="when; by default after the first 5 iterations")
    step: float = Field(2.0, gt=0, le=8, description="length of the step")
    momentum: float = Field(0.9, ge=0, lt=1, description="part of a change that goes on in the next iteration")


@dataclass
class DistanceMemory(Memory):
    """Last change of the scale of the positions."""

    velocity: float = 0.0

    def restart(self) -> None:
        """Keep it: it does not depend on object and probe."""


def initialise(state: State, problem: Problem, settings: DistanceUpdate) -> None:
    """Start from the positions and the distance of the problem.

    Raises
    ------
    InputError
        Where a wrong distance is more than a scale of positions: in the near field, with slices, and in a fly scan.
    """
    others = {
        "a scan in the near field": problem.propagator,
        "several slices": problem.slices,
        "frames of several exposures": problem.exposures,
    }
    for found, there in others.items():
        if there is not None:
            remedy = "Leave distance_update out"
            raise InputError(
                "The distance is refined in the far field of thin samples only", found=found, remedy=remedy
            )
    if state.positions is None:
        state.positions = inside(problem.pixels.astype(np.float64), problem)
    if state.distance is None:
        state.distance = np.array(1.0)


def update(state: State, told: Responses, settings: DistanceUpdate, problem: Problem, memory: DistanceMemory) -> None:
    """Scale all positions."""
    assert state.positions is not None
    step = settings.momentum * memory.velocity + settings.step * change(state.positions, told, problem)
    step = memory.velocity = float(np.clip(step, -LARGEST, LARGEST))
    before = scale(state.positions, problem)
    after = float(np.clip(before * (1 + step), 1 - REACH, 1 + REACH))
    factor = min(after / before, room(state.positions, problem))
    state.positions = inside(centre(problem) + factor * (state.positions - centre(problem)), problem)
    state.distance = np.array(1 / scale(state.positions, problem))


def centre(problem: Problem) -> Positions:
    """Return the object pixel (row, column) that stays where it is: the mean of the scan's positions."""
    return np.asarray(problem.scanned[problem.used].mean(0))


def change(positions: Positions, told: Responses, problem: Problem) -> float:
    """Return ds, from the frames that are used."""
    y, x = (positions - centre(problem))[problem.used].T
    yy, xx, yx, of_y, of_x = (np.nan_to_num(told.response(name))[problem.used] for name in ("yy", "xx", "yx", "y", "x"))
    curvature = (y**2 * yy + 2 * y * x * yx + x**2 * xx).sum()
    return float((y * of_y + x * of_x).sum() / max(curvature, np.finfo(float).tiny))


def scale(positions: Positions, problem: Problem) -> float:
    """Return the factor of the scan's positions, about their mean, that comes closest to some positions."""
    nominal, now = (each[problem.used] - each[problem.used].mean(0) for each in (problem.scanned, positions))
    return float((nominal * now).sum() / (nominal**2).sum())


def room(positions: Positions, problem: Problem) -> float:
    """Return the greatest factor that leaves all positions within `Problem.reach`."""
    away = positions - centre(problem)
    first, last = (edge - centre(problem) for edge in problem.reach)
    with np.errstate(divide="ignore"):
        return float(max(1.0, (np.where(away < 0, first, last) / away).min()))


REFINEMENT = Refinement(
    "distance_update",
    DistanceUpdate,
    initialise,
    update,
    "refine the detector distance in the far field",
    memory=DistanceMemory,
    needs_gradients=True,
    order=20,
)
