"""The definition of `Backend.gather` for a thick sample; see `engine.backend` for the equations."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import Misfit, Noise, Sums, gradient
from exitwave.engine.backends.gather_only import GatherOnly
from exitwave.engine.backends.reference.frame_model import Waves, Window
from exitwave.engine.backends.reference.passes import ReferenceBackend
from exitwave.engine.state import State


class MultisliceReference(GatherOnly, ReferenceBackend):
    """The passes through several slices; see `FrameModel` for the parameters."""

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
        sums, spacing = self.empty_sums(state), 0.0
        difference = signal = loss = 0.0
        for i, j in enumerate(frames):
            window = self.window(state, j)
            entering = self._entering_waves(state, window, self.frame_probe(state, j))
            far = self.propagate(state, j, entering[-1] * state.object[-1][window])
            factor, misfit, frame_loss = self.compare(state, j, far, noise)
            chi = self.propagate_back(state, j, factor * far)
            difference, signal, loss = difference + misfit.difference, signal + misfit.signal, loss + frame_loss
            if responses is not None:
                others, of_spacing = self._slice_responses(state, j, window, entering, chi)
                responses[i], spacing = (misfit.difference, *others), spacing + of_spacing
            corrections = self._slice_corrections(state, window, chi)
            if object:
                for number, (wave, each) in enumerate(zip(entering, corrections, strict=True)):
                    sums.object[number][window] += (wave.conj() * each).sum(0)
                    sums.probe_density[number][window] += (np.abs(wave) ** 2).sum(0)
            if probe:
                first = state.object[0][window]
                self.add_probe(sums, state, j, first.conj() * corrections[0])
                sums.object_density[:] += np.abs(first) ** 2
        return replace(sums, misfit=Misfit(difference, signal), loss=loss, slice_spacing=spacing)

    def _transfer(self, state: State) -> Waves:
        """Return the transfer function of the propagation between slices."""
        assert self.problem.slices is not None
        return self.problem.slices.transfer(1.0 if state.slice_spacing is None else float(state.slice_spacing))

    def _to_next_slice(self, state: State, wave: Waves, factor: NDArray[Any] | float = 1.0) -> Waves:
        """Return a wave propagated to the next slice, with a further factor of the transfer function."""
        return np.fft.ifft2(np.fft.fft2(wave) * self._transfer(state) * factor)

    def _entering_waves(self, state: State, window: Window, frame_probe: Waves) -> list[Waves]:
        """Return the waves that enter the slices, each of shape (modes, ny, nx)."""
        waves = [frame_probe]
        for each in state.object[:-1]:
            waves.append(self._to_next_slice(state, waves[-1] * each[window]))
        return waves

    def _slice_corrections(self, state: State, window: Window, chi: Waves) -> list[Waves]:
        """Return chi_l behind every slice: chi_(l-1) = A^-1 conj(O_l) chi_l."""
        corrections = [chi]
        for each in state.object[:0:-1]:
            spectrum = np.fft.fft2(each[window].conj() * corrections[0]) * self._transfer(state).conj()
            corrections.insert(0, np.fft.ifft2(spectrum))
        return corrections

    def _slice_responses(
        self, state: State, j: int, window: Window, entering: list[Waves], chi: Waves
    ) -> tuple[list[float], float]:
        """Return the responses of frame j without the first, and <Z, chi> with Z = d psi / d spacing."""
        gradients = [[slope[window] for slope in gradient(each)] for each in state.object]
        slices = [each[window] for each in state.object]
        y, x = (gradients[0][axis] * entering[0] for axis in (0, 1))
        z = np.zeros_like(y)
        assert self.problem.slices is not None
        for number in range(1, len(slices)):
            added = self._to_next_slice(
                state, slices[number - 1] * entering[number - 1], 1j * self.problem.slices.phase
            )
            y, x = (
                slices[number] * self._to_next_slice(state, wave) + gradients[number][axis] * entering[number]
                for axis, wave in enumerate((y, x))
            )
            z = slices[number] * (self._to_next_slice(state, z) + added)
        psi = slices[-1] * entering[-1]
        pairs = [(y, y), (x, x), (y, x), (y, chi), (x, chi), (psi, psi), (psi, chi)]
        if state.opr_modes is not None:
            first = self._slice_corrections(state, window, chi)[0]
            pairs += [(self.to_frame(state, j, each) * slices[0], first[0]) for each in state.opr_modes]
        return [np.vdot(a, b).real for a, b in pairs], float(np.vdot(z, chi).real)
