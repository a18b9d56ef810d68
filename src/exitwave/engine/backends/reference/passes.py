"""The definition of the passes over frames of a thin sample, as close to the equations as code can be."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import READOUT, Line, Misfit, Noise, ProjectionWeights, Step, Sums
from exitwave.engine.backends.host_memory import allocate_waves
from exitwave.engine.backends.reference import fly_scan
from exitwave.engine.backends.reference.frame_model import FrameModel
from exitwave.engine.model.near_field import refuse_moves
from exitwave.engine.state import State


class ReferenceBackend(FrameModel):
    """The passes in float64. Every other backend is tested against this one; see `FrameModel` for the parameters."""

    threads = 1

    def take(self, array: Any) -> Any:
        """Return the array itself; see `Backend.take`."""
        return array

    def gather(
        self,
        state: State,
        frames: NDArray[np.int64],
        *,
        object: bool = True,
        probe: bool = True,
        noise: Noise = "amplitude",
        responses: NDArray[np.float64] | None = None,
        gradients: bool = True,
    ) -> Sums:
        """Sum the corrections of the frames; see `Backend.gather`."""
        if self.problem.exposures:
            requested: Any = {"object": object, "probe": probe, "noise": noise, "responses": responses}
            return fly_scan.gather(self, self.problem.exposures, state, frames, **requested)
        sums = self.empty_sums(state)
        difference = signal = loss = 0.0
        for i, j in enumerate(frames):
            window, frame_probe, far = self.model_frame(state, j)
            factor, misfit, frame_loss = self.compare(state, j, far, noise)
            chi = self.propagate_back(state, j, factor * far)
            difference, signal = difference + misfit.difference, signal + misfit.signal
            loss += frame_loss
            if sums.background is not None:
                sums.background[:] += self.background_terms(state, j, far)
            if responses is not None:
                responses[i] = misfit.difference, *self.responses(state, j, window, frame_probe, chi)
            self.add_correction(sums, state, j, frame_probe, chi, to_object=object, to_probe=probe)
        return replace(sums, misfit=Misfit(difference, signal), loss=loss)

    def line_derivatives(
        self, state: State, line: Line, frames: NDArray[np.int64], lengths: NDArray[np.float64], noise: Noise
    ) -> NDArray[np.float64]:
        """Return the derivatives of the loss along a line; see `Backend.line_derivatives`.

        With the force f = -dL/dm and the curvature c = d2L/dm2, L' = -f m' and L'' = c m'^2 - f m''.
        """
        out, detector = np.zeros((len(lengths), 2)), self._detector
        for j in frames:
            if self.problem.exposures:
                a, b, c = fly_scan.waves_along(self, self.problem.exposures, state, line, j)
            else:
                a, b, c = self.waves_along(state, line, j)
            for i, t in enumerate(lengths):
                wave, first = a + t * b + t**2 * c, b + 2 * t * c
                d0, d1 = (np.abs(wave) ** 2).sum(0), 2 * (wave.conj() * first).real.sum(0)
                d2 = 2 * (np.abs(first) ** 2 + 2 * (wave.conj() * c).real).sum(0)
                d0, d1, d2 = detector.counts(d0, state.background), detector.linear(d1), detector.linear(d2)
                _, force, curvature = self.likelihood(j, d0, noise)
                out[i] += -(force * d1).sum(), (curvature * d1**2 - force * d2).sum()
        return out

    def position_derivatives(self, state: State, frames: NDArray[np.int64], noise: Noise) -> NDArray[np.float64]:
        """Return the derivatives of the loss with respect to the positions; see `Backend.position_derivatives`."""
        refuse_moves(self.problem.propagator)
        rows = []
        for j in frames:
            window, _, far = self.model_frame(state, j)
            derivatives = self.probe_derivatives(state, j)
            changes = [self.propagate(state, j, each * state.object[window]) for each in derivatives]
            y, x = (self._detector.linear(2 * (far.conj() * each).real.sum(0)) for each in changes)
            model = self.modelled_counts(state, far)
            force = self.likelihood(j, model, noise).force
            offset = READOUT if noise == "Poisson" else self.problem.floor**2
            weight = np.where(self._measured(j, model)[2], 1, 0) / (4 * (model + offset))
            matrix = ((weight * product).sum() for product in (y * y, x * x, y * x))
            rows.append([(force * y).sum() / 2, (force * x).sum() / 2, *matrix])
        return np.array(rows)

    def misfit(self, state: State, frames: NDArray[np.int64]) -> Misfit:
        """Compare the model with the counts; see `Backend.misfit`."""
        return self.gather(state, frames, object=False, probe=False).misfit

    def sequential(self, state: State, frames: NDArray[np.int64], object: Step | None, probe: Step | None) -> Misfit:
        """Update the state in place after every frame; see `Backend.sequential`."""
        difference = signal = 0.0
        for j in frames:
            window, frame_probe, far = self.model_frame(state, j)
            factor, misfit, _ = self.compare(state, j, far)
            chi = self.propagate_back(state, j, factor * far)
            difference, signal = difference + misfit.difference, signal + misfit.signal
            before = state.object[window].copy()
            if object:
                density = (np.abs(frame_probe) ** 2).sum(0)
                self.descend(state.object[window], (frame_probe.conj() * chi).sum(0), density, object)
            if probe:
                update = np.zeros(state.probe.shape, complex)
                self.descend(update, before.conj() * chi, np.abs(before) ** 2, probe)
                state.probe += self.from_frame(state, j, update)
        return Misfit(difference, signal)

    def project(
        self,
        state: State,
        frames: NDArray[np.int64],
        waves: NDArray[np.complexfloating[Any]],
        weights: ProjectionWeights | None,
        *,
        object: bool = True,
        probe: bool = True,
    ) -> Sums:
        """Advance the stored exit waves, and sum psi - P O like a correction; see `Backend.project`."""
        sums = self.empty_sums(state)
        total = Misfit(0.0, 0.0)
        for i, j in enumerate(frames):
            window, frame_probe, far = self.model_frame(state, j)
            if weights is not None:
                a, b, c = weights
                misfit = self.compare(state, j, far).misfit
                measured = self.modulus(state, j, c * far + (1 - c) * waves[i])
                waves[i] = (1 - a - b) * waves[i] + a * far + b * measured
                total = Misfit(total.difference + misfit.difference, total.signal + misfit.signal)
            residual = self.propagate_back(state, j, waves[i]) - frame_probe * state.object[window]
            self.add_correction(sums, state, j, frame_probe, residual, to_object=object, to_probe=probe)
        return replace(sums, misfit=total)

    def allocate_waves(self, shape: tuple[int, ...]) -> NDArray[np.complex64]:
        """Return zeros for the stored exit waves; see `Backend.allocate_waves`."""
        return allocate_waves(shape)

    def cross_term(
        self,
        state: State,
        frames: NDArray[np.int64],
        object: NDArray[np.complexfloating[Any]],
        probe: NDArray[np.complexfloating[Any]],
    ) -> float:
        """Return the overlap of the exit-wave changes of two changes; see `Backend.cross_term`."""
        product = object.conj() * state.object
        total = sum(product[self.window(state, j)] for j in frames)
        return float((total * (state.probe.conj() * probe).sum(0)).sum().real)

    def descend(
        self,
        target: NDArray[np.complexfloating[Any]],
        numerator: NDArray[np.complexfloating[Any]],
        denominator: NDArray[np.floating[Any]],
        step: Step,
        velocity: NDArray[np.complexfloating[Any]] | None = None,
    ) -> None:
        """Add the regularised step to the target in place; see `Backend.descend`."""
        change = step.length * numerator / ((1 - step.alpha) * denominator + step.alpha * denominator.max() + 1e-20)
        target += change
        if velocity is not None:
            velocity += change
