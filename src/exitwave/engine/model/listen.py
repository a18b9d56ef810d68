"""What the frames tell of the model while an algorithm passes over them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.problem import Problem
from exitwave.engine.sweeps import RESPONSES, State, Sums, Sweeps


@dataclass
class Told:
    """What the frames have told in one iteration."""

    responses: NDArray[np.float64]
    """The responses of every frame, shape (npos, len(RESPONSES) + variations); NaN where it was not asked."""
    variations: NDArray[np.complexfloating[Any]] | None
    """Sum of `Sums.variations` over the passes."""
    transmission: NDArray[np.floating[Any]]
    """Sum of `Sums.transmission` over the passes, shape (ny, nx)."""

    def response(self, name: str) -> NDArray[np.float64]:
        """Return one of `RESPONSES`, shape (npos,)."""
        return self.responses[:, RESPONSES.index(name)]


class Listening:
    """The sweeps, with an ear on what the frames tell: an algorithm may use it in their place.

    Parameters
    ----------
    sweeps : Sweeps
        The backend.
    state : State
        What the passes will be about.
    """

    def __init__(self, sweeps: Sweeps, state: State) -> None:
        self.problem: Problem = sweeps.problem
        self._sweeps = sweeps
        extra = 0 if state.variations is None else len(state.variations)
        self.told = Told(
            np.full((len(self.problem.stack), len(RESPONSES) + extra), np.nan),
            None if state.variations is None else np.zeros_like(state.variations),
            np.zeros(self.problem.shape, state.object.real.dtype),
        )

    def gather(self, state: State, frames: NDArray[np.int64], **wanted: Any) -> Sums:
        """Pass over the frames as `Sweeps.gather`, and write down what they tell."""
        sums = self._ask(state, frames, **wanted)
        if self.told.variations is not None and sums.variations is not None:
            self.told.variations += sums.variations
            self.told.transmission += sums.transmission
        return sums

    def _ask(self, state: State, frames: NDArray[np.int64], **wanted: Any) -> Sums:
        """Pass over the frames and write down their responses."""
        responses = np.zeros((len(frames), self.told.responses.shape[1]))
        sums = self._sweeps.gather(state, frames, responses=responses, **wanted)
        self.told.responses[frames] = responses
        return sums

    def complete(self, state: State) -> Told:
        """Ask the frames that no pass has asked, and return what all have told.

        Held-out frames have what is their own, and no say in what all have in common.
        """
        varied = self.told.variations is not None
        for ask, group in ((self.gather, self.problem.used), (self._ask, self.problem.held_out)):
            silent = group[np.isnan(self.told.responses[group, 0])]
            if len(silent):
                ask(state, silent, object=False, probe=varied)
        return self.told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sweeps, name)
