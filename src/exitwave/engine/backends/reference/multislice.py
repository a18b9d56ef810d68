"""The definition of the sweeps for a thick sample, in plain NumPy, complex128."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import Misfit, Noise, Step, Sums, gradient
from exitwave.engine.backends.reference.passes import ReferenceBackend
from exitwave.engine.model.slices import refuse_with_slices
from exitwave.engine.state import State

Waves = NDArray[np.complexfloating[Any]]


class GatherOnly:
    """The passes of a thick sample that are not `Backend.gather`: made of it, or refused."""

    def sequential(self, state: State, frames: NDArray[np.int64], object: Step | None, probe: Step | None) -> Misfit:
        """Update object and probe after every frame, by passes over single frames; see `Backend.sequential`."""
        backend: Any = self
        difference = signal = 0.0
        for j in frames:
            sums = backend.gather(state, np.array([j]), object=object is not None, probe=probe is not None)
            if object:
                backend.descend(state.object, sums.object, sums.probe_density, object)
            if probe:
                backend.descend(state.probe, sums.probe, sums.object_density, probe)
            difference, signal = difference + sums.misfit.difference, signal + sums.misfit.signal
        return Misfit(difference, signal)

    def cross_term(self, *arguments: Any) -> float:
        """Refuse: the exit wave is not linear in the object."""
        raise refuse_with_slices("products of changes")

    def line_derivatives(self, *arguments: Any) -> NDArray[np.float64]:
        """Refuse: the exit wave is not quadratic along a line."""
        raise refuse_with_slices("derivatives along a line")

    def position_derivatives(self, *arguments: Any) -> NDArray[np.float64]:
        """Refuse: the positions of a thick sample are refined after an iteration."""
        raise refuse_with_slices("moves along a line")

    def project(self, *arguments: Any, **wanted: Any) -> Sums:
        """Refuse: no projection on the overlap is known."""
        raise refuse_with_slices("projections of exit waves")


class MultisliceReference(GatherOnly, ReferenceBackend):
    """The sweeps through several slices; see `ReferenceBackend`."""

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
        sums, spacing = self.empty(state), 0.0
        difference = signal = loss = 0.0
        for i, j in enumerate(frames):
            window, beam = self._window(state, j), self.beam(state, j)
            entering = self._entering(state, window, beam)
            change, misfit, frame_loss = self._change(state, j, entering[-1] * state.object[-1][window], noise)
            difference, signal, loss = difference + misfit.difference, signal + misfit.signal, loss + frame_loss
            if responses is not None:
                told, apart = self._tell(state, j, window, entering, change)
                responses[i], spacing = (misfit.difference, *told), spacing + apart
            self._add(sums, state, j, window, entering, self._changes(state, window, change), object, probe)
        return replace(
            sums,
            misfit=Misfit(difference, signal),
            loss=loss,
            slice_spacing=spacing,
        )

    def _window(self, state: State, j: int) -> tuple[slice, slice]:
        (top, left), (ny, nx) = self._windows(state)[0][j], self.problem.shape
        return slice(top, top + ny), slice(left, left + nx)

    def _transfer(self, state: State) -> Waves:
        assert self.problem.slices is not None
        return self.problem.slices.transfer(1.0 if state.slice_spacing is None else float(state.slice_spacing))

    def _through(self, state: State, wave: Waves, change: NDArray[Any] | float = 1.0) -> Waves:
        """Return the wave at the next slice; ``change`` is a factor of the transfer function."""
        return np.fft.ifft2(np.fft.fft2(wave) * self._transfer(state) * change)

    def _entering(self, state: State, window: tuple[slice, slice], beam: Waves) -> list[Waves]:
        """Return the waves that enter the slices, each of shape (modes, ny, nx)."""
        waves = [beam]
        for each in state.object[:-1]:
            waves.append(self._through(state, waves[-1] * each[window]))
        return waves

    def _changes(self, state: State, window: tuple[slice, slice], change: Waves) -> list[Waves]:
        """Return chi behind every slice."""
        changes = [change]
        for each in state.object[:0:-1]:
            spectrum = np.fft.fft2(each[window].conj() * changes[0]) * self._transfer(state).conj()
            changes.insert(0, np.fft.ifft2(spectrum))
        return changes

    def _change(self, state: State, j: int, wave: Waves, noise: Noise) -> tuple[Waves, Misfit, float]:
        """Return chi behind the last slice, the misfit and the loss."""
        far = self.forth(state, j, wave)
        factor, misfit, loss = self.judged(state, j, far, noise)
        return self.back(state, j, factor * far), misfit, loss

    def _add(
        self,
        sums: Sums,
        state: State,
        j: int,
        window: tuple[slice, slice],
        entering: list[Waves],
        changes: list[Waves],
        object: bool,
        probe: bool,
    ) -> None:
        """Add what frame j asks of object and probe."""
        if object:
            for number, (wave, change) in enumerate(zip(entering, changes, strict=True)):
                sums.object[number][window] += (wave.conj() * change).sum(0)
                sums.probe_density[number][window] += (np.abs(wave) ** 2).sum(0)
        if probe:
            first = state.object[0][window]
            self.add_probe(sums, state, j, first.conj() * changes[0])
            sums.object_density[:] += np.abs(first) ** 2

    def _tell(
        self, state: State, j: int, window: tuple[slice, slice], entering: list[Waves], change: Waves
    ) -> tuple[list[float], float]:
        """Return what frame j tells, without its difference, and <Z, chi> of the spacing."""
        gradients = [[slope[window] for slope in gradient(each)] for each in state.object]
        slices = [each[window] for each in state.object]
        y, x = (gradients[0][axis] * entering[0] for axis in (0, 1))
        z = np.zeros_like(y)
        assert self.problem.slices is not None
        for number in range(1, len(slices)):
            push = self._through(state, slices[number - 1] * entering[number - 1], 1j * self.problem.slices.phase)
            y, x = (
                slices[number] * self._through(state, wave) + gradients[number][axis] * entering[number]
                for axis, wave in enumerate((y, x))
            )
            z = slices[number] * (self._through(state, z) + push)
        psi = slices[-1] * entering[-1]
        pairs = [(y, y), (x, x), (y, x), (y, change), (x, change), (psi, psi), (psi, change)]
        if state.opr_modes is not None:
            first = self._changes(state, window, change)[0]
            pairs += [(self._shifted(state, j, each) * slices[0], first[0]) for each in state.opr_modes]
        return [np.vdot(a, b).real for a, b in pairs], float(np.vdot(z, change).real)
