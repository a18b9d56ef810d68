"""The score of a state: the Poisson deviance of frames that were held out of the reconstruction.

    D = 2 / (N pixels) sum_jq [ m - n - (n + r) log((m + r) / (n + r)) ]

with the counts n and the model m of the pixels q of the held-out frames j, and the readout variance r of the noise
model (`poisson.READOUT`): the mean of 2 log(likelihood of a perfect model / likelihood of this model). In the mean over
the noise it is smallest for the true intensities, whatever their number (a strictly consistent score: T. Gneiting,
J. Am. Stat. Assoc. 106, 746 (2011)), so that it ranks any two states of one scan. The error metric does not: with few
counts, E[sqrt(n)]^2 < E[n], and it prefers a model that is too dark.

The held-out frames are divided into groups. The difference between two states, computed group by group, has a standard
error, so that an improvement can be told from noise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import Backend, Misfit, Sums
from exitwave.engine.problem import Problem
from exitwave.engine.state import State
from exitwave.poisson import deviance

GROUPS = 16
"""Largest number of groups of held-out frames."""
PER_LOSS = 4.0
"""Deviance divided by `Sums.loss`, which is half the negative log-likelihood."""


@dataclass(frozen=True)
class Score:
    """The deviance of the held-out frames at one state."""

    deviances: NDArray[np.float64]
    """Deviance of every group per pixel and frame, shape (groups,)."""
    misfit: Misfit
    """The two sums of the error metric over all held-out frames."""

    @property
    def value(self) -> float:
        """Deviance per pixel and frame; NaN if no frame is held out."""
        return float(self.deviances.mean()) if len(self.deviances) else float("nan")

    def gain_over(self, other: "Score") -> tuple[float, float]:
        """Return by how much this score is lower than another one of the same frames, and the standard error."""
        gain = other.deviances - self.deviances
        error = float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else float("inf")
        return float(gain.mean()), error

    def is_below(self, other: "Score", least: float) -> bool:
        """Return whether this score is lower than another one by more than ``least`` and more than the noise.

        The noise of a single group is unknown, and does not count.
        """
        gain, noise = self.gain_over(other)
        return gain > max(noise if np.isfinite(noise) else 0.0, least)


class Scorer:
    """Computes the scores of the states of one run.

    Parameters
    ----------
    problem : Problem
        The problem with its held-out frames.
    """

    def __init__(self, problem: Problem) -> None:
        held_out, number = problem.held_out, min(GROUPS, len(problem.held_out))
        self._groups = [held_out[k::number] for k in range(number)]
        self._pixels = [_measured(problem, frames) for frames in self._groups]
        sample = np.unique(np.linspace(0, len(problem.used) - 1, len(held_out)).astype(int))
        self._sample = problem.used[sample]
        self._pixels_of_sample = _measured(problem, self._sample)

    def score(self, state: State, backend: Backend) -> Score:
        """Return the score of a state."""
        sums = [_compare(state, backend, frames) for frames in self._groups]
        misfit = Misfit(sum(float(s.misfit.difference) for s in sums), sum(float(s.misfit.signal) for s in sums))
        losses = [float(each.loss) / pixels for each, pixels in zip(sums, self._pixels, strict=True)]
        return Score(PER_LOSS * np.array(losses), misfit)

    def null_deviance(self, problem: Problem) -> float:
        """Return the deviance of the held-out frames if each is modelled by the scaled mean of the used ones."""
        sums = problem.sums(problem.used)
        mean = sums[0] / np.maximum(sums[1], 1)
        total = np.zeros(1)
        for j in problem.local(problem.held_out)[1]:
            good, counts = problem.counts[j] != problem.invalid, problem.counts[j].astype(np.float64)
            model = mean * counts[good].sum() / max(float(mean[good].sum()), 1e-12)
            total += deviance(counts[good], model[good]).sum()
        problem.communicator.add(total)
        return float(total[0]) / sum(self._pixels)

    def used_deviance(self, state: State, backend: Backend) -> float:
        """Return the deviance of as many used frames per pixel and frame; lower than that of the held-out frames."""
        return PER_LOSS * float(_compare(state, backend, self._sample).loss) / self._pixels_of_sample


def _compare(state: State, backend: Backend, frames: NDArray[np.int64]) -> Sums:
    """Return misfit and loss of some frames."""
    return backend.gather(state, frames, object=False, probe=False, noise="Poisson")


def _measured(problem: Problem, frames: NDArray[np.int64]) -> float:
    """Return the number of pixels with a measurement in some frames, at least 1."""
    number = np.array([sum(int((problem.counts[j] != problem.invalid).sum()) for j in problem.local(frames)[1])])
    problem.communicator.add(number)
    return float(max(number[0], 1))
