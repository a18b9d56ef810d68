"""The model of one frame, from object and probe to the counts and back to the sums of a pass."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import Line, Misfit, Noise, Sums, gradient
from exitwave.engine.backends.reference.likelihood import Likelihood, likelihood
from exitwave.engine.backends.reference.shift import fourier_shift, shift_derivatives
from exitwave.engine.model.detector import ideal
from exitwave.engine.problem import Problem
from exitwave.engine.state import State
from exitwave.optics import phase_ramp

Waves = NDArray[np.complexfloating[Any]]
Window = tuple[slice, slice]


class Comparison(NamedTuple):
    """The comparison of a frame's model with its counts."""

    factor: NDArray[Any]
    """Factor from the waves at the detector to their correction, shape (ny, nx) of the waves."""
    misfit: Misfit
    """The two sums of the error metric."""
    loss: float
    """Half the negative log-likelihood of the noise model."""


class FrameModel:
    """The model of one frame j of a problem, and its contribution to the sums of a pass.

    Parameters
    ----------
    problem : Problem
        Counts and geometry.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._detector = problem.detector or ideal(problem.shape)

    def window(self, state: State, j: int) -> Window:
        """Return the object's window of frame j."""
        (top, left), (ny, nx) = self._windows(state)[0][j], self.problem.shape
        return slice(top, top + ny), slice(left, left + nx)

    def frame_probe(self, state: State, j: int) -> Waves:
        """Return the probe of frame j, shape (modes, ny, nx)."""
        return self.to_frame(state, j, self._with_opr(state, j))

    def to_frame(self, state: State, j: int, waves: Waves) -> Waves:
        """Return waves as part of the probe of frame j: shifted to its position, with its factor and pointing."""
        factor = 1 if state.probe_factors is None else state.probe_factors[j]
        return factor * self._pointing(state, j) * fourier_shift(waves, self._windows(state)[1][j])

    def from_frame(self, state: State, j: int, waves: Waves) -> Waves:
        """Return the adjoint of `to_frame`."""
        factor = 1 if state.probe_factors is None else state.probe_factors[j]
        return factor * fourier_shift(waves * self._pointing(state, j).conj(), -self._windows(state)[1][j])

    def probe_derivatives(self, state: State, j: int) -> list[Waves]:
        """Return the derivatives of the probe of frame j with respect to its position along rows and columns."""
        return [self.to_frame(state, j, each) for each in shift_derivatives(self._with_opr(state, j))]

    def model_frame(self, state: State, j: int) -> tuple[Window, Waves, Waves]:
        """Return the object's window, the probe and the waves at the detector of frame j."""
        window, probe = self.window(state, j), self.frame_probe(state, j)
        return window, probe, self.propagate(state, j, probe * state.object[window])

    def propagate(self, state: State, j: int, waves: Waves) -> Waves:
        """Return exit waves of frame j at the detector, shape (modes, ny, nx): the unitary F, or the near field."""
        if self.problem.propagator:
            return self.problem.propagator.forth(waves, self._windows(state)[1][j])
        return np.fft.fft2(waves, norm="ortho")

    def propagate_back(self, state: State, j: int, waves: Waves) -> Waves:
        """Return the inverse, which is the adjoint, of `propagate`."""
        if self.problem.propagator:
            return self.problem.propagator.back(waves, self._windows(state)[1][j])
        return np.fft.ifft2(waves, norm="ortho")

    def modelled_counts(self, state: State, far: Waves) -> NDArray[np.float64]:
        """Return the modelled counts m of waves at the detector."""
        return self._detector.counts((np.abs(far) ** 2).sum(0), state.background)

    def compare(self, state: State, j: int, far: Waves, noise: Noise = "amplitude") -> Comparison:
        """Compare frame j's waves at the detector with its counts."""
        model = self.modelled_counts(state, far)
        loss, force, _ = self.likelihood(j, model, noise)
        valid, counts, _ = self._measured(j, model)
        difference = self.likelihood(j, model, "amplitude").loss
        misfit = Misfit(float(difference.sum()), float(counts[valid].sum()))
        return Comparison(self._detector.back(force), misfit, float(loss.sum()))

    def likelihood(self, j: int, model: NDArray[Any], noise: Noise) -> Likelihood:
        """Return the likelihood of frame j at modelled counts m, with zeros on pixels that do not constrain m."""
        _, counts, constrains = self._measured(j, model)
        terms = likelihood(counts, model, noise, self.problem.floor)
        return Likelihood(*(np.where(constrains, term, 0) for term in terms))

    def modulus(self, state: State, j: int, far: Waves) -> Waves:
        """Return Pi_F of frame j's waves at the detector, shape (modes, ny, nx): the measured amplitudes, their phases.

        The factor fades to 1 where the wave is zero up to rounding, and is 1 on pixels without a measurement. A
        background is one more known incoherent mode: all modes get the same factor. With point spread or flat field
        the result is a step down the gradient, which has the same fixed points.
        """
        return far * (1 + self.compare(state, j, far).factor)

    def waves_along(self, state: State, line: Line, j: int) -> tuple[Waves, Waves, Waves]:
        """Return A, B and C of frame j's waves at the detector along a line, A + t B + t^2 C."""
        window, probe, start = self.model_frame(state, j)
        d_probe = self.to_frame(state, j, line.probe)
        if line.moves is not None:
            moves = zip(line.moves[j], self.probe_derivatives(state, j), strict=True)
            d_probe = d_probe + sum(d * each for d, each in moves)
        first, second = probe * line.object[window] + d_probe * state.object[window], d_probe * line.object[window]
        return start, self.propagate(state, j, first), self.propagate(state, j, second)

    def responses(self, state: State, j: int, window: Window, probe: Waves, chi: Waves) -> list[float]:
        """Return the responses of frame j without the first, the misfit's difference; see `backend.RESPONSES`."""
        psi = probe * state.object[window]
        y, x = (probe * slope[window] for slope in gradient(state.object))
        pairs = [(y, y), (x, x), (y, x), (y, chi), (x, chi), (psi, psi), (psi, chi)]
        if state.opr_modes is not None:
            pairs += [(self.to_frame(state, j, each) * state.object[window], chi[0]) for each in state.opr_modes]
        if state.pointing is not None:
            axes = ((np.arange(n) - n // 2) / n for n in self.problem.shape)
            pairs += [(2j * np.pi * axis * psi, chi) for axis in np.meshgrid(*axes, indexing="ij")]
        return [np.vdot(a, b).real for a, b in pairs]

    def background_terms(self, state: State, j: int, far: Waves) -> NDArray[np.float64]:
        """Return the terms of `Sums.background` of frame j."""
        model = self.modelled_counts(state, far)
        valid, counts, constrains = self._measured(j, model)
        return np.stack([np.where(constrains, (counts - model) / model, 0), valid])

    def empty_sums(self, state: State) -> Sums:
        """Return sums over no frames."""
        return Sums(
            np.zeros(state.object.shape, complex),
            np.zeros(state.object.shape),
            np.zeros(state.probe.shape, complex),
            np.zeros(self.problem.shape),
            Misfit(0, 0),
            opr_modes=None if state.opr_modes is None else np.zeros(state.opr_modes.shape, complex),
            background=None if state.background is None else np.zeros((2, *state.background.shape)),
        )

    def add_correction(
        self,
        sums: Sums,
        state: State,
        j: int,
        probe: Waves,
        chi: Waves,
        *,
        to_object: bool,
        to_probe: bool,
        share: float = 1.0,
    ) -> None:
        """Add conj(P) chi and |P|^2 to the sums of the object, conj(O) chi and share * |O|^2 to those of the probe."""
        window = self.window(state, j)
        if to_object:
            sums.object[window] += (probe.conj() * chi).sum(0)
            sums.probe_density[window] += (np.abs(probe) ** 2).sum(0)
        if to_probe:
            self.add_probe(sums, state, j, state.object[window].conj() * chi)
            sums.object_density[:] += share * np.abs(state.object[window]) ** 2

    def add_probe(self, sums: Sums, state: State, j: int, correction: Waves) -> None:
        """Add the correction of the probe of frame j, shape (modes, ny, nx), to the sums of probe and OPR modes."""
        back = self.from_frame(state, j, correction)
        sums.probe[:] += back
        if sums.opr_modes is not None and state.opr_weights is not None:
            sums.opr_modes[:] += state.opr_weights[j][:, None, None] * back[0]

    def _measured(self, j: int, model: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[Any], NDArray[np.bool_]]:
        """Return the valid pixels of frame j, its counts, and the valid pixels that constrain the model.

        A saturated pixel does not constrain a model above its counts.
        """
        valid = self.problem.counts[j] != self.problem.invalid
        counts = np.where(valid, self.problem.counts[j], 0).astype(float)
        return valid, counts, valid & ((counts < self._detector.cap) | (model < counts))

    def _windows(self, state: State) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the window corners and the sub-pixel shifts of all frames."""
        return self.problem.windows(state.positions)

    def _with_opr(self, state: State, j: int) -> Waves:
        """Return the probe modes with the OPR modes of frame j added to the first."""
        probe = state.probe.astype(complex)
        if state.opr_modes is not None and state.opr_weights is not None:
            probe[0] += np.tensordot(state.opr_weights[j], state.opr_modes, 1)
        return probe

    def _pointing(self, state: State, j: int) -> NDArray[np.complex128]:
        """Return the phase ramp of the pointing of frame j, shape (ny, nx)."""
        pointing = np.zeros(2) if state.pointing is None else state.pointing[j]
        return phase_ramp(self.problem.shape, 2 * np.pi * pointing / np.array(self.problem.shape))
