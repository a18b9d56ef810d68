"""The definition: every sweep in plain NumPy, complex128, as close to the equations as code can be."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.problem import Problem
from exitwave.engine.sweeps import Misfit, State, Step, Sums


class ReferenceSweeps:
    """The sweeps in float64, slow and plain. Every other backend is tested against this one.

    Parameters
    ----------
    problem : Problem
        The frames and their positions.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._corners, self._shifts = problem.windows()

    def gather(self, state: State, frames: NDArray[np.int64], *, object: bool = True, probe: bool = True) -> Sums:
        """Pass over the frames without changing the state; see `Sweeps.gather`."""
        sums = Sums(
            np.zeros(state.object.shape, complex),
            np.zeros(state.object.shape),
            np.zeros(state.probe.shape, complex),
            np.zeros(self.problem.shape),
            Misfit(0, 0),
        )
        difference = signal = 0.0
        for j in frames:
            window, beam, chi, misfit = self._frame(state, j)
            difference, signal = difference + misfit.difference, signal + misfit.signal
            if object:
                sums.object[window] += (beam.conj() * chi).sum(0)
                sums.illumination[window] += (np.abs(beam) ** 2).sum(0)
            if probe:
                sums.probe[:] += self._shift(state.object[window].conj() * chi, -self._shifts[j])
                sums.transmission[:] += np.abs(state.object[window]) ** 2
        return Sums(sums.object, sums.illumination, sums.probe, sums.transmission, Misfit(difference, signal))

    def misfit(self, state: State, frames: NDArray[np.int64]) -> Misfit:
        """Compare the model with the measurement; see `Sweeps.misfit`."""
        return self.gather(state, frames, object=False, probe=False).misfit

    def sequential(self, state: State, frames: NDArray[np.int64], object: Step | None, probe: Step | None) -> Misfit:
        """Update the state in place after every frame; see `Sweeps.sequential`."""
        difference = signal = 0.0
        for j in frames:
            window, beam, chi, misfit = self._frame(state, j)
            difference, signal = difference + misfit.difference, signal + misfit.signal
            seen = state.object[window].copy()
            if object:
                self.descend(state.object[window], (beam.conj() * chi).sum(0), (np.abs(beam) ** 2).sum(0), object)
            if probe:
                update = np.zeros(state.probe.shape, complex)
                self.descend(update, seen.conj() * chi, np.abs(seen) ** 2, probe)
                state.probe += self._shift(update, -self._shifts[j])
        return Misfit(difference, signal)

    def descend(
        self,
        target: NDArray[np.complexfloating[Any]],
        numerator: NDArray[np.complexfloating[Any]],
        denominator: NDArray[np.floating[Any]],
        step: Step,
    ) -> None:
        """Add the regularised step to the target in place; see `Sweeps.descend`."""
        target += step.length * numerator / ((1 - step.alpha) * denominator + step.alpha * denominator.max() + 1e-20)

    def _frame(self, state: State, j: int) -> tuple[tuple[slice, slice], NDArray[Any], NDArray[Any], Misfit]:
        """Return the object's window, the shifted probe, chi and the misfit of one frame."""
        (top, left), (ny, nx) = self._corners[j], self.problem.shape
        window = slice(top, top + ny), slice(left, left + nx)
        beam = self._shift(state.probe, self._shifts[j])
        far = np.fft.fft2(beam * state.object[window], norm="ortho")
        modelled = np.sqrt((np.abs(far) ** 2).sum(0))
        valid = self.problem.stack[j] != self.problem.invalid
        counts = np.where(valid, self.problem.stack[j], 0).astype(float)
        difference = np.where(valid, np.sqrt(counts) - modelled, 0)
        chi = np.fft.ifft2(difference * modelled / (modelled**2 + self.problem.floor**2) * far, norm="ortho")
        return window, beam, chi, Misfit(float((difference**2).sum()), float(counts.sum()))

    def _shift(self, waves: NDArray[Any], shift: NDArray[Any]) -> NDArray[Any]:
        """Shift waves by (rows, columns) pixels with a linear phase in Fourier space."""
        fy, fx = (np.fft.fftfreq(n) for n in self.problem.shape)
        ramp = np.exp(-2j * np.pi * (fy[:, None] * float(shift[0]) + fx * float(shift[1])))
        return np.fft.ifft2(np.fft.fft2(waves) * ramp)
