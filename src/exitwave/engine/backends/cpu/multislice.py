"""`Backend.gather` on the CPU for a thick sample."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import NOISE, Noise, Sums
from exitwave.engine.backends.cpu.buffers import Share
from exitwave.engine.backends.cpu.fft import transforms
from exitwave.engine.backends.cpu.kernels.multislice import gather_slices
from exitwave.engine.backends.cpu.passes import CpuBackend
from exitwave.engine.backends.gather_only import GatherOnly
from exitwave.engine.model.slices import refuse_with_slices
from exitwave.engine.problem import Problem
from exitwave.engine.state import State
from exitwave.errors import InputError

_F32 = np.float32


class MultisliceCpuBackend(GatherOnly, CpuBackend):
    """The passes through several slices; see `CpuBackend` for the parameters."""

    def __init__(self, problem: Problem, modes: int, threads: int | None = None) -> None:
        assert problem.slices is not None
        super().__init__(problem, modes, threads)
        self._slices = problem.slices
        self._slice_scratch = [self._allocate_scratch(modes) for _ in range(self.threads)]
        self._spacing_sums = np.zeros((self.threads, 1))
        self._transfer, self._transfer_derivative = self._layout.waves(1), self._layout.waves(1)
        self._spacing = 0.0

    def _allocate_scratch(self, modes: int) -> tuple[NDArray[np.float32], ...]:
        """Return a thread's buffers: waves entering slices, tangents, a row, an unused sum, and chi."""
        (ny, nx), shape = self.problem.shape, (modes, self._plans.height, 2 * self._plans.stride)
        entering, tangents = transforms.zeros(self._slices.number, *shape), transforms.zeros(4, *shape)
        return entering, tangents, transforms.zeros(2 * nx), transforms.zeros(ny + 1, nx), transforms.zeros(*shape)

    def gather(self, state: State, frames: NDArray[np.int64], **requested: Any) -> Sums:
        """Sum the corrections of the frames; see `Backend.gather`."""
        self._spacing_sums[:] = 0
        return replace(super().gather(state, frames, **requested), slice_spacing=float(self._spacing_sums.sum()))

    def _gather_shares(
        self,
        state: State,
        shares: list[Share],
        responses: NDArray[np.float64],
        gradients: bool,
        object: bool,
        probe: bool,
        noise: Noise,
    ) -> tuple[float, float]:
        """Carry the frames through the slices, every thread its share into its sums; return misfit and loss."""

        def run(number: int) -> tuple[float, float]:
            self._clear_object(number)
            return gather_slices(
                shares[number].frames, shares[number].indices, self.problem.counts, self._invalid, self._floor,
                self._parameters, self._plans, state.object.view(_F32), *self._probe, self._transfer[0],
                self._transfer_derivative[0], NOISE.index(noise), object, probe, responses, self._spacing_sums[number],
                self._scratch[number].gather, self._slice_scratch[number], *self._thread_sums.of(number),
            )  # fmt: skip

        differences, losses = zip(*self._run(run, range(self.threads)), strict=True)
        return sum(differences), sum(losses)

    def _load_state(self, state: State) -> None:
        """Check the state, and copy its parameters to the layout of the loops; see `CpuBackend`."""
        if state.pointing is not None:
            raise refuse_with_slices("pointing of the beam")
        super()._load_state(state)
        spacing = 1.0 if state.slice_spacing is None else float(state.slice_spacing)
        if spacing != self._spacing:
            transfer = self._slices.transfer(spacing)
            normal = 1 / transfer.size
            self._layout.as_complex(self._transfer)[:] = transfer * normal
            self._layout.as_complex(self._transfer_derivative)[:] = 1j * self._slices.phase * transfer * normal
            self._spacing = spacing


def make_backend(problem: Problem, modes: int, threads: int | None = None) -> CpuBackend:
    """Return the CPU backend for a thin or a thick sample; see `CpuBackend` for the parameters.

    Raises
    ------
    InputError
        If the detector of a thick sample or of a fly scan is not ideal.
    """
    if problem.detector and (problem.slices or problem.exposures):
        what = "Several slices" if problem.slices else "Fly scans"
        remedy = "Leave the settings of the group detector out, and set detector.flat to false"
        raise InputError(f"{what} support an ideal detector only", found="a detector model", remedy=remedy)
    return (MultisliceCpuBackend if problem.slices else CpuBackend)(problem, modes, threads)
