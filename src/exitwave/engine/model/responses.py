"""What the frames tell of the model while an algorithm passes over them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.arrays import on_host
from exitwave.engine.problem import Problem
from exitwave.engine.state import RESPONSES, State, Sums, Sweeps


@dataclass
class Told:
    """What the frames have told in one iteration."""

    responses: NDArray[np.float64]
    """The responses of every frame, shape (npos, columns), see `RESPONSES`; NaN where it was not asked."""
    count: int
    """Number of variations."""
    ask: Callable[[State, NDArray[np.int64]], NDArray[np.float64]]
    """Asks some frames what they would tell at another state; rows like those of ``responses``."""
    spacing: float = 0.0
    """Sum of `Sums.spacing` over the passes."""
    background: NDArray[np.float64] | None = None
    """Sum of `Sums.background` over the passes, shape (2, ny, nx) of a frame."""

    def response(self, name: str) -> NDArray[np.float64]:
        """Return one of `RESPONSES`, shape (npos,)."""
        return self.responses[:, RESPONSES.index(name)]

    @property
    def variations(self) -> NDArray[np.float64]:
        """The responses to variations, shape (npos, variations)."""
        return self.responses[:, len(RESPONSES) :][:, : self.count]

    @property
    def tilts(self) -> NDArray[np.float64]:
        """The responses to tilts, shape (npos, 2)."""
        return self.responses[:, len(RESPONSES) :][:, self.count :]

    def relative(self, responses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return responses, shape (npos, n), relative to <psi, psi>; 0 where a frame has not been asked."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.nan_to_num(responses / self.response("power")[:, None], posinf=0, neginf=0)


class Listening:
    """The sweeps, with an ear on what the frames tell: an algorithm may use it in their place.

    Parameters
    ----------
    sweeps : Sweeps
        The backend.
    state : State
        What the passes will be about.
    slopes : bool
        Whether the passes are asked for what needs the object's derivatives too; see `Sweeps.gather`.
    follow : callable, optional
        What follows every pass over frames that are not held out, given these and their sums. It waits for the next
        pass, for an algorithm may still need the state of this one.
    """

    def __init__(
        self,
        sweeps: Sweeps,
        state: State,
        slopes: bool = True,
        follow: Callable[[NDArray[np.int64], Sums], None] | None = None,
    ) -> None:
        self.problem: Problem = sweeps.problem
        self._sweeps, self._slopes, self._follow = sweeps, slopes, follow
        self._last: tuple[NDArray[np.int64], Sums] | None = None
        count = 0 if state.variations is None else len(state.variations)
        columns = len(RESPONSES) + count + (0 if state.tilts is None else 2)
        self.told = Told(np.full((len(self.problem.pixels), columns), np.nan), count, self._try)

    def gather(self, state: State, frames: NDArray[np.int64], **wanted: Any) -> Sums:
        """Pass over the frames as `Sweeps.gather`, and write down what they tell.

        Of variations and tilts they tell with the sum of the probe, which is added up even for an algorithm that has no
        use for it.
        """
        self._catch_up()
        sums = self._ask(state, frames, **wanted | ({"probe": True} if self._needs_probe(state) else {}))
        if self._follow and sums.variations is not None:
            copies = on_host(sums.variations).copy(), on_host(sums.transmission).copy()
            self._last = frames, replace(sums, variations=copies[0], transmission=copies[1])
        self.told.spacing += sums.spacing
        if sums.background is not None:
            before = self.told.background
            self.told.background = sums.background if before is None else before + sums.background
        return sums

    @staticmethod
    def _needs_probe(state: State) -> bool:
        return state.variations is not None or state.tilts is not None

    def _catch_up(self) -> None:
        """Let follow what has waited since the last pass."""
        if self._follow and self._last:
            self._follow(*self._last)
        self._last = None

    def _ask(self, state: State, frames: NDArray[np.int64], **wanted: Any) -> Sums:
        """Pass over the frames and write down their responses."""
        responses = np.zeros((len(frames), self.told.responses.shape[1]))
        sums = self._sweeps.gather(state, frames, responses=responses, slopes=self._slopes, **wanted)
        self.told.responses[frames] = responses
        return sums

    def _try(self, state: State, frames: NDArray[np.int64]) -> NDArray[np.float64]:
        """Pass over the frames at a state that is no more than a trial, and return their responses."""
        responses = np.zeros((len(frames), self.told.responses.shape[1]))
        self._sweeps.gather(state, frames, object=False, probe=False, responses=responses, slopes=False)
        return responses

    def complete(self, state: State) -> Told:
        """Ask the frames that no pass has asked, and return what all have told.

        Held-out frames have what is their own, and no say in what all have in common.
        """
        self._catch_up()
        for ask, group in ((self.gather, self.problem.used), (self._ask, self.problem.held_out)):
            silent = group[np.isnan(self.told.responses[group, 0])]
            if len(silent):
                ask(state, silent, object=False, probe=self._needs_probe(state))
        self._catch_up()
        return self.told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sweeps, name)
