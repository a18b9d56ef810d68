"""Trials of settings on frames in the middle of a scan, judged by the deviance of held-out frames (`score`).

A trial has a short stage of mPIE and one of ML. Trials that differ only in ML share the first stage.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exitwave.engine.recipe import make_recipe
from exitwave.reconstruction.iterate import Progress, iterate
from exitwave.reconstruction.score import Score
from exitwave.reconstruction.stopping import IMPROVEMENT
from exitwave.scan import Result, Scan

FIRST: dict[str, Any] = {"algorithm": "mPIE", "iterations": 20}
LAST: dict[str, Any] = {"algorithm": "ML", "noise": "Poisson", "iterations": 8, "regularisation": 1.0}
"""The stages of a trial."""
FRAMES, HOLDOUT = 120, 0.2
"""Number of frames on which settings are tried, and the held-out fraction."""


@dataclass(frozen=True)
class Trial:
    """The best iteration of a trial."""

    score: Score
    """Its score."""
    used: float
    """Deviance of as many used frames."""
    null: float
    """Deviance of the held-out frames if each is modelled by the mean of the used ones."""

    @property
    def explained(self) -> float:
        """Share of the differences between the frames that the model explains in held-out frames, at most 1."""
        return 1 - max(self.score.value - self.used, 0.0) / max(self.null - self.used, 1e-12)

    def is_better_than(self, other: "Trial") -> bool:
        """Return whether the score is lower than another one by more than its noise."""
        gain, noise = self.score.gain_over(other.score)
        return gain > noise

    def is_clearly_better_than(self, other: "Trial") -> bool:
        """Return whether the score is also lower by a relevant part of its excess over that of the used frames."""
        gain, noise = self.score.gain_over(other.score)
        return gain > max(noise, IMPROVEMENT * (other.score.value - other.used))


class Trials:
    """Trials on a part of a scan, which share what they have in common; none is repeated.

    Parameters
    ----------
    scan : Scan
        Frames in the middle of a scan; see `orientation.central_frames`.
    settings : mapping
        Settings of the recipe without stages.
    """

    def __init__(self, scan: Scan, settings: Mapping[str, Any]) -> None:
        self._scan, self._settings = scan, {"holdout": HOLDOUT} | dict(settings)
        self._first: dict[tuple[int | None, bool], Result] = {}
        self._done: dict[tuple[int | None, bool, float], Trial] = {}

    def run(self, modes: int | None = None, *, refine_positions: bool = False, regularisation: float = 1.0) -> Trial:
        """Return the trial with some number of modes, with or without refinement of the positions."""
        key = modes, refine_positions, regularisation
        if key not in self._done:
            self._done[key] = self._run(*key)
        return self._done[key]

    def _run(self, modes: int | None, refine_positions: bool, regularisation: float) -> Trial:
        """Run a trial, from the first stage of an earlier one if there is one."""
        refinement = {"position_update": True} if refine_positions else {}
        settings = self._settings | ({} if modes is None else {"modes": modes})
        key = modes, refine_positions
        if key not in self._first:
            first = _last(self._scan, settings | {"stages": [FIRST | refinement]})
            if self._scan.near:
                return _judge(first)
            self._first[key] = first.result()
        last = LAST | refinement | {"regularisation": regularisation}
        return _judge(_last(self._first[key], settings | {"stages": [last]}))


def _last(data: Scan | Result, settings: Mapping[str, Any]) -> Progress:
    """Return the last iteration of a run that ends with its best one."""
    *_, last = iterate(data, make_recipe(dict(settings) | {"patience": sys.maxsize}))
    return last


def _judge(last: Progress) -> Trial:
    """Return the trial that has ended with an iteration."""
    return Trial(last.score, *last.reference_deviances())
