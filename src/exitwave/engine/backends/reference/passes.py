"""The definition: every sweep in plain NumPy, complex128, as close to the equations as code can be."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import READOUT, Line, Misfit, Noise, ProjectionWeights, Step, Sums, gradient
from exitwave.engine.backends.host_memory import room
from exitwave.engine.backends.reference import fly_scan as reference_fly
from exitwave.engine.model.detector import ideal
from exitwave.engine.model.near_field import refuse_moves
from exitwave.engine.problem import Problem
from exitwave.engine.state import State
from exitwave.optics import phase_ramp


class ReferenceBackend:
    """The sweeps in float64, slow and plain. Every other backend is tested against this one.

    Parameters
    ----------
    problem : Problem
        The frames and their positions.
    """

    threads = 1

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._detector = problem.detector or ideal(problem.shape)

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
        """Pass over the frames without changing the state; see `Backend.gather`."""
        if self.problem.exposures:
            wanted: Any = {"object": object, "probe": probe, "noise": noise, "responses": responses}
            return reference_fly.gather(self, self.problem.exposures, state, frames, **wanted)
        sums = self.empty(state)
        difference = signal = loss = 0.0
        for i, j in enumerate(frames):
            window, beam, far = self._frame(state, j)
            factor, misfit, frame_loss = self.judged(state, j, far, noise)
            change = self.back(state, j, factor * far)
            difference, signal = difference + misfit.difference, signal + misfit.signal
            loss += frame_loss
            if sums.background is not None:
                sums.background[:] += self._ratio(state, j, far)
            if responses is not None:
                responses[i] = misfit.difference, *self.responses(state, j, window, beam, change)
            if object:
                sums.object[window] += (beam.conj() * change).sum(0)
                sums.probe_density[window] += (np.abs(beam) ** 2).sum(0)
            if probe:
                self.add_probe(sums, state, j, state.object[window].conj() * change)
                sums.object_density[:] += np.abs(state.object[window]) ** 2
        return replace(sums, misfit=Misfit(difference, signal), loss=loss)

    def empty(self, state: State) -> Sums:
        """Return sums of nothing."""
        return Sums(
            np.zeros(state.object.shape, complex),
            np.zeros(state.object.shape),
            np.zeros(state.probe.shape, complex),
            np.zeros(self.problem.shape),
            Misfit(0, 0),
            opr_modes=None if state.opr_modes is None else np.zeros(state.opr_modes.shape, complex),
            background=None if state.background is None else np.zeros((2, *state.background.shape)),
        )

    def add_probe(self, sums: Sums, state: State, j: int, wanted: NDArray[Any]) -> None:
        """Add what frame j wants of its shifted and scaled probe, shape (modes, ny, nx), to the sums of the probe."""
        back = self._adjoint_beam(state, j, wanted)
        sums.probe[:] += back
        if sums.opr_modes is not None and state.opr_weights is not None:
            sums.opr_modes[:] += state.opr_weights[j][:, None, None] * back[0]

    def responses(
        self, state: State, j: int, window: tuple[slice, slice], beam: NDArray[Any], chi: NDArray[Any]
    ) -> list[float]:
        """Return what frame j tells, without its difference."""
        psi = beam * state.object[window]
        y, x = (beam * slope[window] for slope in gradient(state.object))
        pairs = [(y, y), (x, x), (y, x), (y, chi), (x, chi), (psi, psi), (psi, chi)]
        if state.opr_modes is not None:
            pairs += [(self._shifted(state, j, each) * state.object[window], chi[0]) for each in state.opr_modes]
        if state.pointing is not None:
            axes = ((np.arange(n) - n // 2) / n for n in self.problem.shape)
            pairs += [(2j * np.pi * axis * psi, chi) for axis in np.meshgrid(*axes, indexing="ij")]
        return [np.vdot(a, b).real for a, b in pairs]

    def line_derivatives(
        self, state: State, line: Line, frames: NDArray[np.int64], lengths: NDArray[np.float64], noise: Noise
    ) -> NDArray[np.float64]:
        """Return the loss's derivatives along a line; see `Backend.along`."""
        out = np.zeros((len(lengths), 2))
        for j in frames:
            if self.problem.exposures:
                a, b, c = reference_fly.along(self, self.problem.exposures, state, line, j)
            else:
                a, b, c = self.far_along(state, line, j)
            for i, t in enumerate(lengths):
                wave, first = a + t * b + t**2 * c, b + 2 * t * c
                d0, d1 = (np.abs(wave) ** 2).sum(0), 2 * (wave.conj() * first).real.sum(0)
                d2 = 2 * (np.abs(first) ** 2 + 2 * (wave.conj() * c).real).sum(0)
                detector = self._detector
                d0, d1, d2 = detector.counts(d0, state.background), detector.linear(d1), detector.linear(d2)
                _, force, curve = self._likelihood(j, d0, noise)
                out[i] += -(force * d1).sum(), (curve * d1**2 - force * d2).sum()
        return out

    def far_along(self, state: State, line: Line, j: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return A, B and C of frame j's waves at the detector along a line, A + t B + t^2 C."""
        window, beam, start = self._frame(state, j)
        aside = self._shifted(state, j, line.probe)
        if line.moves is not None:
            moves = zip(line.moves[j], self._derivatives(state, j), strict=True)
            aside = aside + sum(d * each for d, each in moves)
        slope, bend = beam * line.object[window] + aside * state.object[window], aside * line.object[window]
        return start, self.forth(state, j, slope), self.forth(state, j, bend)

    def position_derivatives(self, state: State, frames: NDArray[np.int64], noise: Noise) -> NDArray[np.float64]:
        """Return what the frames tell of their positions; see `Backend.moves`."""
        refuse_moves(self.problem.propagator)
        rows = []
        for j in frames:
            window, _, far = self._frame(state, j)
            changes = [self.forth(state, j, each * state.object[window]) for each in self._derivatives(state, j)]
            y, x = (self._detector.linear(2 * (far.conj() * each).real.sum(0)) for each in changes)
            model = self._detector.counts((np.abs(far) ** 2).sum(0), state.background)
            force = self._likelihood(j, model, noise)[1]
            spare = READOUT if noise == "Poisson" else self.problem.floor**2
            weight = np.where(self._measured(j, model)[2], 1, 0) / (4 * (model + spare))
            rows.append(
                [(force * y).sum() / 2, (force * x).sum() / 2, *((weight * a).sum() for a in (y * y, x * x, y * x))]
            )
        return np.array(rows)

    def _derivatives(self, state: State, j: int) -> list[NDArray[Any]]:
        """Return how the probe of frame j changes with its position along rows and columns."""
        probe = state.probe.astype(complex)
        if state.opr_modes is not None and state.opr_weights is not None:
            probe[0] += np.tensordot(state.opr_weights[j], state.opr_modes, 1)
        fy, fx = (np.fft.fftfreq(n) for n in self.problem.shape)
        spectrum = np.fft.fft2(probe)
        return [self._shifted(state, j, np.fft.ifft2(-2j * np.pi * f * spectrum)) for f in (fy[:, None], fx)]

    def misfit(self, state: State, frames: NDArray[np.int64]) -> Misfit:
        """Compare the model with the measurement; see `Backend.misfit`."""
        return self.gather(state, frames, object=False, probe=False).misfit

    def sequential(self, state: State, frames: NDArray[np.int64], object: Step | None, probe: Step | None) -> Misfit:
        """Update the state in place after every frame; see `Backend.sequential`."""
        difference = signal = 0.0
        for j in frames:
            window, beam, far = self._frame(state, j)
            factor, misfit, _ = self.judged(state, j, far)
            chi = self.back(state, j, factor * far)
            difference, signal = difference + misfit.difference, signal + misfit.signal
            seen = state.object[window].copy()
            if object:
                self.descend(state.object[window], (beam.conj() * chi).sum(0), (np.abs(beam) ** 2).sum(0), object)
            if probe:
                update = np.zeros(state.probe.shape, complex)
                self.descend(update, seen.conj() * chi, np.abs(seen) ** 2, probe)
                state.probe += self._adjoint_beam(state, j, update)
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
        """Advance the frames' own exit waves and add up what the model lacks of them; see `Backend.project`."""
        sums = self.empty(state)
        total = Misfit(0.0, 0.0)
        for i, j in enumerate(frames):
            window, beam, explained = self._frame(state, j)
            if weights is not None:
                a, b, c = weights
                misfit = self.judged(state, j, explained)[1]
                measured = self.modulus(state, j, c * explained + (1 - c) * waves[i])
                waves[i] = (1 - a - b) * waves[i] + a * explained + b * measured
                total = Misfit(total.difference + misfit.difference, total.signal + misfit.signal)
            lack = self.back(state, j, waves[i]) - beam * state.object[window]
            if object:
                sums.object[window] += (beam.conj() * lack).sum(0)
                sums.probe_density[window] += (np.abs(beam) ** 2).sum(0)
            if probe:
                self.add_probe(sums, state, j, state.object[window].conj() * lack)
                sums.object_density[:] += np.abs(state.object[window]) ** 2
        return replace(sums, misfit=total)

    def allocate_waves(self, shape: tuple[int, ...]) -> NDArray[np.complex64]:
        """Return zeros for the frames' own waves; see `Backend.room`."""
        return room(shape)

    def modulus(self, state: State, j: int, far: NDArray[Any]) -> NDArray[Any]:
        """Return Pi_F of frame j's waves at the detector, shape (modes, ny, nx): the measured amplitudes, their phases.

        The factor fades to 1 where the wave is zero up to rounding, and is 1 on pixels without a measurement. A
        background is one more mode, incoherent and known: all modes are scaled alike. Point spread and flat field make
        it a step down the gradient, which leaves the same waves alone.
        """
        return far * (1 + self.judged(state, j, far)[0])

    def cross_term(
        self,
        state: State,
        frames: NDArray[np.int64],
        object: NDArray[np.complexfloating[Any]],
        probe: NDArray[np.complexfloating[Any]],
    ) -> float:
        """Return how much of the exit waves two changes change alike; see `Backend.crossing`."""
        both = object.conj() * state.object
        seen = sum(both[self.window(state, j)] for j in frames)
        return float((seen * (state.probe.conj() * probe).sum(0)).sum().real)

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

    def _frame(self, state: State, j: int) -> tuple[tuple[slice, slice], NDArray[Any], NDArray[Any]]:
        """Return the object's window, the shifted probe and the waves at the detector of one frame."""
        window, beam = self.window(state, j), self.beam(state, j)
        return window, beam, self.forth(state, j, beam * state.object[window])

    def window(self, state: State, j: int) -> tuple[slice, slice]:
        """Return the object's window of frame j."""
        (top, left), (ny, nx) = self._windows(state)[0][j], self.problem.shape
        return slice(top, top + ny), slice(left, left + nx)

    def forth(self, state: State, j: int, waves: NDArray[Any]) -> NDArray[Any]:
        """Return frame j's exit waves at the detector, shape (modes, ny, nx)."""
        if self.problem.propagator:
            return self.problem.propagator.forth(waves, self._windows(state)[1][j])
        return np.fft.fft2(waves, norm="ortho")

    def back(self, state: State, j: int, waves: NDArray[Any]) -> NDArray[Any]:
        """Return the inverse and adjoint of `forth`."""
        if self.problem.propagator:
            return self.problem.propagator.back(waves, self._windows(state)[1][j])
        return np.fft.ifft2(waves, norm="ortho")

    def judged(
        self, state: State, j: int, far: NDArray[Any], noise: Noise = "amplitude"
    ) -> tuple[NDArray[Any], Misfit, float]:
        """Return the factor from frame j's waves at the detector to their correction, the misfit, and the loss."""
        model = self._detector.counts((np.abs(far) ** 2).sum(0), state.background)
        loss, force, _ = self._likelihood(j, model, noise)
        valid, counts, _ = self._measured(j, model)
        difference = self._likelihood(j, model, "amplitude")[0]
        return (
            self._detector.back(force),
            Misfit(float(difference.sum()), float(counts[valid].sum())),
            float(loss.sum()),
        )

    def _ratio(self, state: State, j: int, far: NDArray[Any]) -> NDArray[Any]:
        """Return what frame j says of the background; see `Sums.background`."""
        model = self._detector.counts((np.abs(far) ** 2).sum(0), state.background)
        valid, counts, asked = self._measured(j, model)
        return np.stack([np.where(asked, (counts - model) / model, 0), valid])

    def _measured(self, j: int, model: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[Any], NDArray[np.bool_]]:
        """Return where frame j has a measurement, its counts, and where these ask for something of the model."""
        valid = self.problem.counts[j] != self.problem.invalid
        counts = np.where(valid, self.problem.counts[j], 0).astype(float)
        return valid, counts, valid & ((counts < self._detector.cap) | (model < counts))

    def _likelihood(self, j: int, model: NDArray[Any], noise: Noise) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return the loss L of every pixel of frame j, - dL/dm and d2L/dm2 at the modelled intensities m."""
        _, counts, asked = self._measured(j, model)
        variance, lack = counts + READOUT, counts - model
        if noise == "amplitude":
            faded = model + self.problem.floor**2
            root = np.sqrt(counts * model) / faded
            terms = (np.sqrt(counts) - np.sqrt(model)) ** 2, root - model / faded, root / (2 * faded)
        elif noise == "intensity":
            terms = lack**2 / (4 * variance), lack / (2 * variance), 1 / (2 * variance)
        else:
            expected = model + READOUT
            loss = -(lack + variance * np.log1p(-lack / variance)) / 2
            terms = loss, lack / (2 * expected), variance / (2 * expected**2)
        loss, force, curve = (np.where(asked, term, 0) for term in terms)
        return loss, force, curve

    def _windows(self, state: State) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the window corners and the sub-pixel shifts of all frames."""
        return self.problem.windows(state.positions)

    def beam(self, state: State, j: int) -> NDArray[Any]:
        """Return the probe of frame j, shape (modes, ny, nx)."""
        probe = state.probe.astype(complex)
        if state.opr_modes is not None and state.opr_weights is not None:
            probe[0] += np.tensordot(state.opr_weights[j], state.opr_modes, 1)
        return self._shifted(state, j, probe)

    def _shifted(self, state: State, j: int, waves: NDArray[Any]) -> NDArray[Any]:
        """Return waves as they are in frame j: at its position, scaled and tilted."""
        scale = 1 if state.probe_factors is None else state.probe_factors[j]
        return scale * self._tilt(state, j) * self._shift(waves, self._windows(state)[1][j])

    def _adjoint_beam(self, state: State, j: int, wanted: NDArray[Any]) -> NDArray[Any]:
        """Return the adjoint of `_shifted`."""
        scale = 1 if state.probe_factors is None else state.probe_factors[j]
        return scale * self._shift(wanted * self._tilt(state, j).conj(), -self._windows(state)[1][j])

    def _tilt(self, state: State, j: int) -> NDArray[np.complex128]:
        """Return the factor that tilts the beam of frame j, shape (ny, nx)."""
        tilt = np.zeros(2) if state.pointing is None else state.pointing[j]
        return phase_ramp(self.problem.shape, 2 * np.pi * tilt / np.array(self.problem.shape))

    def _shift(self, waves: NDArray[Any], shift: NDArray[Any]) -> NDArray[Any]:
        """Shift waves by (rows, columns) pixels with a linear phase in Fourier space."""
        fy, fx = (np.fft.fftfreq(n) for n in self.problem.shape)
        ramp = np.exp(-2j * np.pi * (fy[:, None] * float(shift[0]) + fx * float(shift[1])))
        return np.fft.ifft2(np.fft.fft2(waves) * ramp)
