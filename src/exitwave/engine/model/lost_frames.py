"""A search for frames that are lost: so far off that what they ask for does not lead them home.

A frame whose misfit, relative to its counts, is far outside of what the others have is tried elsewhere, at random
places around where it is and around where the scan has it, and stays where its misfit is least: A. M. Maiden, M. J.
Humphry, M. C. Sarahan, B. Kraus and J. M. Rodenburg, Ultramicroscopy 120, 64 (2012). How wide the places spread is
learnt from how far the frames that do fit have moved, so that it shrinks where positions were good. (A cross-
correlation of what the frame asks for with the object, F. Zhang et al., Opt. Express 21, 13592 (2013), takes one pass,
but the phases that the frame has got from the wrong place draw it back there.)
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import RESPONSES
from exitwave.engine.model.responses import Responses
from exitwave.engine.problem import Problem
from exitwave.engine.state import Memory, State
from exitwave.poisson import noise_misfit

AFTER = 5
"""Iterations without a search: until then most frames look lost."""
LOST, BEYOND = 4.0, 6.0
"""How far a lost frame is above the median: so many times what that has beside noise, and so many robust standard
deviations, which where noise counts little may be far too many."""
SAMPLE = 64
"""Frames whose mean tells the noise."""
EFFORT = 0.5
"""Trials in an iteration, over the number of frames."""
MOST = 50
"""Trials of a frame in an iteration."""
BETTER = 0.9
"""A place must have at most this part of the misfit to be taken."""


@dataclass
class PositionMemory(Memory):
    """What the refinement of the positions keeps."""

    velocity: NDArray[np.float64] | float = 0.0
    """Last displacement of every frame, shape (npos, 2)."""
    noise: float | None = None
    """Relative misfit of a frame from photon noise alone."""


def search(state: State, told: Responses, problem: Problem, memory: PositionMemory) -> None:
    """Try the lost frames elsewhere, and leave each where it fits best."""
    assert state.positions is not None
    difference, power = told.response("difference"), told.response("power")
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.nan_to_num(difference / power, posinf=0, neginf=0)
    asked = np.union1d(problem.used, problem.held_out)
    worst = asked[np.argsort(-relative[asked])][: max(1, round(EFFORT * len(asked)))]
    if memory.noise is None:
        memory.noise = _noise(problem)
    lost = np.sort(worst[relative[worst] > _limit(relative[problem.used], memory.noise)])
    if not len(lost):
        return
    spread = _spread(state.positions, problem)
    velocity, best = memory.velocity, difference.copy()
    assert isinstance(velocity, np.ndarray)
    for trial in range(int(np.clip(EFFORT * len(asked) / len(lost), 1, MOST))):
        places = state.positions.copy()
        around, width = (problem.scanned, spread) if trial % 2 == 0 else (state.positions, spread / 3)
        places[lost] = around[lost] + state.rng.normal(0, width, (len(lost), 2))
        places = np.clip(places, *problem.reach)
        found = told.ask(replace(state, positions=places), lost)[:, RESPONSES.index("difference")]
        better = lost[found < BETTER * best[lost]]
        best[lost] = np.minimum(best[lost], found)
        moved = state.positions.copy()
        moved[better] = places[better]
        state.positions = moved
        velocity[better] = 0


def _limit(relative: NDArray[np.float64], noise: float) -> float:
    """Return the relative misfit above which a frame is lost.

    Where photons are few, noise is most of every frame's misfit, and a lost one has hardly twice as much as the others.
    """
    median = float(np.median(relative))
    deviation = float(np.median(np.abs(relative - median))) / 0.6745
    return median + max(LOST * (median - noise), min(BEYOND * deviation, LOST * median))


def _noise(problem: Problem) -> float:
    """Return the relative misfit that photon noise alone leaves in a frame."""
    chosen = problem.used[:: max(1, len(problem.used) // SAMPLE)]
    total, valid = problem.sums(chosen)
    mean = total / np.maximum(valid, 1)
    return float(noise_misfit(mean).sum() / max(mean.sum(), np.finfo(float).tiny))


def _spread(positions: NDArray[np.float64], problem: Problem) -> float:
    """Return the standard deviation of the places to try: what most frames have moved, and half as much again."""
    moved = positions[problem.used] - problem.scanned[problem.used]
    moved = moved - np.median(moved, axis=0)
    return 1.5 * float(np.median(np.abs(moved))) / 0.6745 + 0.5
