"""Responses: the inner products of every frame that the passes of an algorithm record for the refinements."""

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
    """The responses of all frames in one iteration."""

    values: NDArray[np.float64]
    """The responses of every frame, shape (npos, columns), see `RESPONSES`; NaN for frames without a pass."""
    opr_count: int
    """Number of OPR modes."""
    evaluate: Callable[[State, NDArray[np.int64]], NDArray[np.float64]]
    """Returns the responses of some frames at another state, shape (frames, columns), without those of gradients."""
    slice_spacing: float = 0.0
    """Sum of `Sums.slice_spacing` over the passes."""
    background: NDArray[np.float64] | None = None
    """Sum of `Sums.background` over the passes, shape (2, ny, nx) of a frame."""

    def response(self, name: str) -> NDArray[np.float64]:
        """Return one of `RESPONSES`, shape (npos,)."""
        return self.values[:, RESPONSES.index(name)]

    @property
    def opr_modes(self) -> NDArray[np.float64]:
        """The responses to the OPR modes, shape (npos, opr_modes)."""
        return self.values[:, len(RESPONSES) :][:, : self.opr_count]

    @property
    def pointing(self) -> NDArray[np.float64]:
        """The responses to the pointing along rows and columns, shape (npos, 2)."""
        return self.values[:, len(RESPONSES) :][:, self.opr_count :]

    def relative_to_power(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return responses, shape (npos, n), divided by <psi, psi>; 0 for frames without a pass."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.nan_to_num(values / self.response("power")[:, None], posinf=0, neginf=0)


class RecordingBackend:
    """Wrap a backend and record each frame's responses for the refinements.

    Parameters
    ----------
    backend : Backend
        The backend.
    state : State
        The state before the iteration.
    gradients : bool
        Whether responses that need the object's gradients are recorded too; see `Backend.gather`.
    after_pass : callable, optional
        Called after every pass over frames that are not held out, with these frames and their sums. The call is
        delayed until the next pass begins, because the algorithm may still need the state of this one.
    """

    def __init__(
        self,
        backend: Backend,
        state: State,
        gradients: bool = True,
        after_pass: Callable[[NDArray[np.int64], Sums], None] | None = None,
    ) -> None:
        self.problem: Problem = backend.problem
        self.threads = backend.threads
        self._backend, self._gradients, self._after_pass = backend, gradients, after_pass
        self._last: tuple[NDArray[np.int64], Sums] | None = None
        count = 0 if state.opr_modes is None else len(state.opr_modes)
        columns = len(RESPONSES) + count + (0 if state.pointing is None else 2)
        self.responses = Responses(np.full((len(self.problem.pixels), columns), np.nan), count, self._evaluate)

    def gather(self, state: State, frames: NDArray[np.int64], **requested: Any) -> Sums:
        """Pass over the frames like `Backend.gather`, and record their responses.

        The responses to OPR modes and pointing need the sum of the probe, which is requested even for an algorithm that
        does not use it.
        """
        self._run_after_pass()
        sums = self._record(state, frames, **requested | ({"probe": True} if self._needs_probe(state) else {}))
        if self._after_pass and sums.opr_modes is not None:
            copies = to_host(sums.opr_modes).copy(), to_host(sums.object_density).copy()
            self._last = frames, replace(sums, opr_modes=copies[0], object_density=copies[1])
        self.responses.slice_spacing += sums.slice_spacing
        if sums.background is not None:
            before = self.responses.background
            self.responses.background = sums.background if before is None else before + sums.background
        return sums

    @staticmethod
    def _needs_probe(state: State) -> bool:
        return state.opr_modes is not None or state.pointing is not None

    def _run_after_pass(self) -> None:
        """Make the delayed call after the last pass."""
        if self._after_pass and self._last:
            self._after_pass(*self._last)
        self._last = None

    def _record(self, state: State, frames: NDArray[np.int64], **requested: Any) -> Sums:
        """Pass over the frames and record their responses."""
        values = np.zeros((len(frames), self.responses.values.shape[1]))
        sums = self._backend.gather(state, frames, responses=values, gradients=self._gradients, **requested)
        self.responses.values[frames] = values
        return sums

    def _evaluate(self, state: State, frames: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the responses of some frames at another state, and do not record them."""
        values = np.zeros((len(frames), self.responses.values.shape[1]))
        self._backend.gather(state, frames, object=False, probe=False, responses=values, gradients=False)
        return values

    def complete(self, state: State) -> Responses:
        """Pass over the frames that had no pass in this iteration, and return the responses of all.

        Held-out frames have per-frame parameters too, but do not contribute to common sums.
        """
        self._run_after_pass()
        for gather, group in ((self.gather, self.problem.used), (self._record, self.problem.held_out)):
            missing = group[np.isnan(self.responses.values[group, 0])]
            if len(missing):
                gather(state, missing, object=False, probe=self._needs_probe(state))
        self._run_after_pass()
        return self.responses

    def take(self, array: Any) -> Any:
        """Return an array on the device of the passes; see `Backend.take`."""
        return self._backend.take(array)

    def misfit(self, state: State, frames: NDArray[np.int64]) -> Misfit:
        """Compare the model with the measurement; see `Backend.misfit`."""
        return self._backend.misfit(state, frames)

    def cross_term(self, state: State, frames: NDArray[np.int64], object: NDArray[Any], probe: NDArray[Any]) -> float:
        """Return the inner product of two changes of the exit waves; see `Backend.cross_term`."""
        return self._backend.cross_term(state, frames, object, probe)

    def line_derivatives(
        self, state: State, line: Line, frames: NDArray[np.int64], lengths: NDArray[np.float64], noise: Noise
    ) -> NDArray[np.float64]:
        """Return the derivatives of the loss along a line; see `Backend.line_derivatives`."""
        return self._backend.line_derivatives(state, line, frames, lengths, noise)

    def position_derivatives(self, state: State, frames: NDArray[np.int64], noise: Noise) -> NDArray[np.float64]:
        """Return the derivatives of the loss with respect to the positions; see `Backend.position_derivatives`."""
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
