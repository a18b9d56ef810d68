"""Detector distance in the far field, or any other quantity whose error scales the object pixel.

The object pixel is wavelength * distance / (n * detector pixel). If one of these is wrong, all positions in pixels are
wrong by one factor relative to their centre, p <- c + s (p - c), and the true distance is 1 / s times the assumed one.
With (y_j, x_j) the position of frame j relative to the centre, and Y and X as for positions (`engine.model.positions`),
the derivative of the exit wave with respect to s is y_j Y_j + x_j X_j, and a Gauss-Newton step is

    ds = sum_j (y_j <Y_j, chi_j> + x_j <X_j, chi_j>)
         / sum_j (y_j^2 <Y_j, Y_j> + 2 y_j x_j <Y_j, X_j> + x_j^2 <X_j, X_j>)

M. Guizar-Sicairos and J. R. Fienup, Opt. Express 16, 7264 (2008) for the gradient with respect to positions, here under
the constraint that all positions scale together.

As for positions, the object has adapted to the scale that it was reconstructed with, and chi shows only a small part of
the error. Therefore steps are longer than 1 and have momentum (B. T. Polyak, USSR Comput. Math. Math. Phys. 4, 1
(1964)).

In the diverging beam behind a focus, the magnification is the distance over the defocus, and a wrong scale can be
compensated by the defocus of the probe. With a known and fixed probe the scale converges in some tens of iterations.
With a probe that is reconstructed from the same frames it takes a hundred, and may stop half-way.

If positions are refined as well, their common scale is attributed to the distance: the scale is fitted by least squares
to all positions, relative to those of the scan.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from exitwave.engine.model.positions import clip_positions
from exitwave.engine.model.refinement import Refinement
from exitwave.engine.model.responses import Responses
from exitwave.engine.problem import Problem
from exitwave.engine.settings import RefinementSettings, Schedule
from exitwave.engine.state import Memory, State
from exitwave.errors import InputError

LARGEST_STEP = 0.01
"""Largest relative change of the scale in an iteration."""
LARGEST_CHANGE = 0.1
"""Largest relative change of the scale in a run."""
Positions = NDArray[np.float64]


class DistanceUpdate(RefinementSettings):
    """Settings of the refinement of the detector distance."""

    schedule: Schedule = Field(
        Schedule(start=5), description="iterations of the refinement; by default all after the first 5"
    )
    step: float = Field(2.0, gt=0, le=8, description="length of the step; 1 is a Gauss-Newton step")
    momentum: float = Field(0.9, ge=0, lt=1, description="part of a change that is repeated in the next iteration")


@dataclass
class DistanceMemory(Memory):
    """Last relative change of the scale of the positions."""

    velocity: float = 0.0

    def restart(self) -> None:
        """Keep it: it does not depend on object and probe."""


def initialise(state: State, problem: Problem, settings: DistanceUpdate) -> None:
    """Start from the positions and the distance of the problem.

    Raises
    ------
    InputError
        For a scan in the near field, a thick sample and a fly scan, where a wrong distance does more than scale the
        positions.
    """
    unsupported = {
        "a scan in the near field": problem.propagator,
        "several slices": problem.slices,
        "frames of several exposures": problem.exposures,
    }
    for found, part in unsupported.items():
        if part is not None:
            remedy = "Leave distance_update out"
            raise InputError(
                "The detector distance can be refined only in the far field, for thin samples and not in a fly scan",
                found=found,
                remedy=remedy,
            )
    if state.positions is None:
        state.positions = clip_positions(problem.pixels.astype(np.float64), problem)
    if state.distance is None:
        state.distance = np.array(1.0)


def update(
    state: State, responses: Responses, settings: DistanceUpdate, problem: Problem, memory: DistanceMemory
) -> None:
    """Scale all positions, and change the distance accordingly."""
    assert state.positions is not None
    step = settings.momentum * memory.velocity + settings.step * scale_step(state.positions, responses, problem)
    step = memory.velocity = float(np.clip(step, -LARGEST_STEP, LARGEST_STEP))
    before = fitted_scale(state.positions, problem)
    after = float(np.clip(before * (1 + step), 1 - LARGEST_CHANGE, 1 + LARGEST_CHANGE))
    factor = min(after / before, largest_factor(state.positions, problem))
    centre = scan_centre(problem)
    state.positions = clip_positions(centre + factor * (state.positions - centre), problem)
    state.distance = np.array(1 / fitted_scale(state.positions, problem))


def scan_centre(problem: Problem) -> Positions:
    """Return the object pixel (row, column) that does not move when the positions are scaled: the scan's mean."""
    return np.asarray(problem.scanned[problem.used].mean(0))


def scale_step(positions: Positions, responses: Responses, problem: Problem) -> float:
    """Return the Gauss-Newton step ds of the scale, from the used frames."""
    y, x = (positions - scan_centre(problem))[problem.used].T
    names = ("yy", "xx", "yx", "y", "x")
    yy, xx, yx, of_y, of_x = (np.nan_to_num(responses.response(name))[problem.used] for name in names)
    curvature = (y**2 * yy + 2 * y * x * yx + x**2 * xx).sum()
    return float((y * of_y + x * of_x).sum() / max(curvature, np.finfo(float).tiny))


def fitted_scale(positions: Positions, problem: Problem) -> float:
    """Return the factor by which the scan's positions, relative to their mean, fit the given ones best."""
    nominal, current = (each[problem.used] - each[problem.used].mean(0) for each in (problem.scanned, positions))
    return float((nominal * current).sum() / (nominal**2).sum())


def largest_factor(positions: Positions, problem: Problem) -> float:
    """Return the largest factor that keeps all positions within `Problem.reach`."""
    relative = positions - scan_centre(problem)
    first, last = (edge - scan_centre(problem) for edge in problem.reach)
    with np.errstate(divide="ignore"):
        return float(max(1.0, (np.where(relative < 0, first, last) / relative).min()))


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
