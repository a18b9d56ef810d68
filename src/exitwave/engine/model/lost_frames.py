"""Search for lost frames, whose positions are so wrong that gradients do not lead to the right ones.

The misfit of a lost frame, relative to its counts, is far above that of the other frames. Such a frame is tried at
random positions around its present position and around the one of the scan, and moves to the one with the smallest
misfit: A. M. Maiden, M. J. Humphry, M. C. Sarahan, B. Kraus and J. M. Rodenburg, Ultramicroscopy 120, 64 (2012). The
width of the random positions follows from how far the other frames have moved, so it is small where positions are
good. (A cross-correlation of the correction with the object, F. Zhang et al., Opt. Express 21, 13592 (2013), takes one
pass, but the correction contains phases from the wrong position, and leads back to it.)
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import RESPONSES
from exitwave.engine.model.responses import Responses
from exitwave.engine.problem import Problem
from exitwave.engine.state import Memory, State
from exitwave.poisson import noise_misfit

FIRST_ITERATION = 5
"""First iteration with a search: before it the misfit of most frames is large."""
EXCESS, DEVIATIONS = 4.0, 6.0
"""Distance of a lost frame's misfit from the median: so many times the part of the median that is not noise, and so
many robust standard deviations. Where noise is small, the latter alone may be far too many."""
NOISE_SAMPLE = 64
"""Number of frames whose mean the noise is estimated from."""
TRIALS = 0.5
"""Number of trials in an iteration, relative to the number of frames."""
MOST_TRIALS = 50
"""Largest number of trials of a frame in an iteration."""
ACCEPTED = 0.9
"""A position is accepted if its misfit is at most this part of the best so far."""


@dataclass
class PositionMemory(Memory):
    """Memory of the refinement of the positions."""

    velocity: NDArray[np.float64] | float = 0.0
    """Last displacement of every frame, shape (npos, 2)."""
    noise: float | None = None
    """Relative misfit that photon noise alone leaves in a frame."""


def search(state: State, responses: Responses, problem: Problem, memory: PositionMemory) -> None:
    """Try the lost frames at random positions, and move each to the one with the smallest misfit."""
    assert state.positions is not None
    difference, power = responses.response("difference"), responses.response("power")
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.nan_to_num(difference / power, posinf=0, neginf=0)
    frames = np.union1d(problem.used, problem.held_out)
    worst = frames[np.argsort(-relative[frames])][: max(1, round(TRIALS * len(frames)))]
    if memory.noise is None:
        memory.noise = _noise(problem)
    lost = np.sort(worst[relative[worst] > _limit(relative[problem.used], memory.noise)])
    if not len(lost):
        return
    width = _width(state.positions, problem)
    velocity, best = memory.velocity, difference.copy()
    assert isinstance(velocity, np.ndarray)
    for trial in range(int(np.clip(TRIALS * len(frames) / len(lost), 1, MOST_TRIALS))):
        tried = state.positions.copy()
        centre, deviation = (problem.scanned, width) if trial % 2 == 0 else (state.positions, width / 3)
        tried[lost] = centre[lost] + state.rng.normal(0, deviation, (len(lost), 2))
        tried = np.clip(tried, *problem.reach)
        misfits = responses.evaluate(replace(state, positions=tried), lost)[:, RESPONSES.index("difference")]
        better = lost[misfits < ACCEPTED * best[lost]]
        best[lost] = np.minimum(best[lost], misfits)
        moved = state.positions.copy()
        moved[better] = tried[better]
        state.positions = moved
        velocity[better] = 0


def _limit(relative: NDArray[np.float64], noise: float) -> float:
    """Return the relative misfit above which a frame is lost.

    With few photons, noise is most of every frame's misfit, and that of a lost frame is hardly twice as large.
    """
    median = float(np.median(relative))
    deviation = float(np.median(np.abs(relative - median))) / 0.6745
    return median + max(EXCESS * (median - noise), min(DEVIATIONS * deviation, EXCESS * median))


def _noise(problem: Problem) -> float:
    """Return the relative misfit that photon noise alone leaves in a frame."""
    chosen = problem.used[:: max(1, len(problem.used) // NOISE_SAMPLE)]
    total, valid = problem.sums(chosen)
    mean = total / np.maximum(valid, 1)
    return float(noise_misfit(mean).sum() / max(mean.sum(), np.finfo(float).tiny))


def _width(positions: NDArray[np.float64], problem: Problem) -> float:
    """Return the standard deviation of the trials: 1.5 times that of the frames' displacements, and half a pixel."""
    moved = positions[problem.used] - problem.scanned[problem.used]
    moved = moved - np.median(moved, axis=0)
    return 1.5 * float(np.median(np.abs(moved))) / 0.6745 + 0.5
