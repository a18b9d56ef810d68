"""What the frames tell of the model while an algorithm passes over them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.arrays import to_host
from exitwave.engine.backend import RESPONSES, Backend, Line, Misfit, Noise, ProjectionWeights, Step, Sums
from exitwave.engine.problem import Problem
from exitwave.engine.state import State


@dataclass
class Responses:
    """What the frames have told in one iteration."""

    responses: NDArray[np.float64]
    """The responses of every frame, shape (npos, columns), see `RESPONSES`; NaN where it was not asked."""
    count: int
    """Number of variations."""
    ask: Callable[[State, NDArray[np.int64]], NDArray[np.float64]]
    """Asks some frames what they would tell at another state; rows like those of ``responses``."""
    slice_spacing: float = 0.0
    """Sum of `Sums.spacing` over the passes."""
    background: NDArray[np.float64] | None = None
    """Sum of `Sums.background` over the passes, shape (2, ny, nx) of a frame."""

    def response(self, name: str) -> NDArray[np.float64]:
        """Return one of `RESPONSES`, shape (npos,)."""
        return self.responses[:, RESPONSES.index(name)]

    @property
    def opr_modes(self) -> NDArray[np.float64]:
        """The responses to variations, shape (npos, variations)."""
        return self.responses[:, len(RESPONSES) :][:, : self.count]

    @property
    def pointing(self) -> NDArray[np.float64]:
        """The responses to tilts, shape (npos, 2)."""
        return self.responses[:, len(RESPONSES) :][:, self.count :]

    def relative(self, responses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return responses, shape (npos, n), relative to <psi, psi>; 0 where a frame has not been asked."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.nan_to_num(responses / self.response("power")[:, None], posinf=0, neginf=0)


class RecordingBackend:
    """The sweeps, with an ear on what the frames tell: an algorithm may use it in their place.

    Parameters
    ----------
    sweeps : Sweeps
        The backend.
    state : State
        What the passes will be about.
    slopes : bool
        Whether the passes are asked for what needs the object's derivatives too; see `Backend.gather`.
    follow : callable, optional
        What follows every pass over frames that are not held out, given these and their sums. It waits for the next
        pass, for an algorithm may still need the state of this one.
    """

    def __init__(
        self,
        backend: Backend,
        state: State,
        gradients: bool = True,
        follow: Callable[[NDArray[np.int64], Sums], None] | None = None,
    ) -> None:
        self.problem: Problem = backend.problem
        self.threads = backend.threads
        self._backend, self._slopes, self._follow = backend, gradients, follow
        self._last: tuple[NDArray[np.int64], Sums] | None = None
        count = 0 if state.opr_modes is None else len(state.opr_modes)
        columns = len(RESPONSES) + count + (0 if state.pointing is None else 2)
        self.told = Responses(np.full((len(self.problem.pixels), columns), np.nan), count, self._try)

    def gather(self, state: State, frames: NDArray[np.int64], **wanted: Any) -> Sums:
        """Pass over the frames as `Backend.gather`, and write down what they tell.

        Of variations and tilts they tell with the sum of the probe, which is added up even for an algorithm that has no
        use for it.
        """
        self._catch_up()
        sums = self._ask(state, frames, **wanted | ({"probe": True} if self._needs_probe(state) else {}))
        if self._follow and sums.opr_modes is not None:
            copies = to_host(sums.opr_modes).copy(), to_host(sums.object_density).copy()
            self._last = frames, replace(sums, opr_modes=copies[0], object_density=copies[1])
        self.told.slice_spacing += sums.slice_spacing
        if sums.background is not None:
            before = self.told.background
            self.told.background = sums.background if before is None else before + sums.background
        return sums

    @staticmethod
    def _needs_probe(state: State) -> bool:
        return state.opr_modes is not None or state.pointing is not None

    def _catch_up(self) -> None:
        """Let follow what has waited since the last pass."""
        if self._follow and self._last:
            self._follow(*self._last)
        self._last = None

    def _ask(self, state: State, frames: NDArray[np.int64], **wanted: Any) -> Sums:
        """Pass over the frames and write down their responses."""
        responses = np.zeros((len(frames), self.told.responses.shape[1]))
        sums = self._backend.gather(state, frames, responses=responses, gradients=self._slopes, **wanted)
        self.told.responses[frames] = responses
        return sums

    def _try(self, state: State, frames: NDArray[np.int64]) -> NDArray[np.float64]:
        """Pass over the frames at a state that is no more than a trial, and return their responses."""
        responses = np.zeros((len(frames), self.told.responses.shape[1]))
        self._backend.gather(state, frames, object=False, probe=False, responses=responses, gradients=False)
        return responses

    def complete(self, state: State) -> Responses:
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

    def take(self, array: Any) -> Any:
        """Return an array on the device of the passes; see `Backend.take`."""
        return self._backend.take(array)

    def misfit(self, state: State, frames: NDArray[np.int64]) -> Misfit:
        """Compare the model with the measurement; see `Backend.misfit`."""
        return self._backend.misfit(state, frames)

    def cross_term(self, state: State, frames: NDArray[np.int64], object: NDArray[Any], probe: NDArray[Any]) -> float:
        """Return the overlap of two changes of the exit waves; see `Backend.cross_term`."""
        return self._backend.cross_term(state, frames, object, probe)

    def line_derivatives(
        self, state: State, line: Line, frames: NDArray[np.int64], lengths: NDArray[np.float64], noise: Noise
    ) -> NDArray[np.float64]:
        """Return the loss's derivatives along a line; see `Backend.line_derivatives`."""
        return self._backend.line_derivatives(state, line, frames, lengths, noise)

    def position_derivatives(self, state: State, frames: NDArray[np.int64], noise: Noise) -> NDArray[np.float64]:
        """Return the loss's derivatives by the positions; see `Backend.position_derivatives`."""
        return self._backend.position_derivatives(state, frames, noise)

    def sequential(self, state: State, frames: NDArray[np.int64], object: Step | None, probe: Step | None) -> Misfit:
        """Update the state in place after every frame; see `Backend.sequential`."""
        return self._backend.sequential(state, frames, object, probe)

    def project(
        self,
        state: State,
        frames: NDArray[np.int64],
        waves: Any,
        weights: ProjectionWeights | None,
        *,
        object: bool = True,
        probe: bool = True,
    ) -> Sums:
        """Advance the stored exit waves of the frames; see `Backend.project`."""
        return self._backend.project(state, frames, waves, weights, object=object, probe=probe)

    def allocate_waves(self, shape: tuple[int, ...]) -> Any:
        """Return zeros for the stored exit waves; see `Backend.allocate_waves`."""
        return self._backend.allocate_waves(shape)

    def descend(self, target: Any, numerator: Any, denominator: Any, step: Step, velocity: Any = None) -> None:
        """Add the regularised step to the target in place; see `Backend.descend`."""
        self._backend.descend(target, numerator, denominator, step, velocity)
