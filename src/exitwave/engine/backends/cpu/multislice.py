"""The sweeps on the CPU for a thick sample; see `cpu`."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import NOISE, Noise, Sums
from exitwave.engine.backends.cpu.buffers import Share
from exitwave.engine.backends.cpu.fft import transforms
from exitwave.engine.backends.cpu.kernels import multislice as slices
from exitwave.engine.backends.cpu.passes import CpuBackend
from exitwave.engine.backends.reference.multislice import GatherOnly
from exitwave.engine.model.slices import refuse_with_slices
from exitwave.engine.problem import Problem
from exitwave.engine.state import State
from exitwave.errors import InputError

_F32 = np.float32


class MultisliceCpuBackend(GatherOnly, CpuBackend):
    """The sweeps through several slices; see `CpuBackend` for the parameters."""

    def __init__(self, problem: Problem, modes: int, threads: int | None = None) -> None:
        assert problem.slices is not None
        super().__init__(problem, modes, threads)
        self._slices = problem.slices
        self._thick = [self._room(modes) for _ in range(self.threads)]
        self._apart = np.zeros((self.threads, 1))
        self._transfer, self._steeper = self._waves(1), self._waves(1)
        self._spacing = 0.0

    def _room(self, modes: int) -> tuple[NDArray[np.float32], ...]:
        """Return a thread's buffers: waves entering slices, derivatives, a row, sums nobody reads, and chi."""
        (ny, nx), shape = self.problem.shape, (modes, self._plans.height, 2 * self._plans.stride)
        waves, tangents = transforms.zeros(self._slices.number, *shape), transforms.zeros(4, *shape)
        return waves, tangents, transforms.zeros(2 * nx), transforms.zeros(ny + 1, nx), transforms.zeros(*shape)

    def gather(self, state: State, frames: NDArray[np.int64], **wanted: Any) -> Sums:
        """Pass over the frames without changing the state; see `Backend.gather`."""
        self._apart[:] = 0
        return replace(super().gather(state, frames, **wanted), slice_spacing=float(self._apart.sum()))

    def _carry(
        self,
        state: State,
        shares: list[Share],
        told: NDArray[np.float64],
        gradients: bool,
        object: bool,
        probe: bool,
        noise: Noise,
    ) -> tuple[float, float]:
        """Carry the frames through the slices, every thread its share into its own sums; return misfit and loss."""

        def share(number: int) -> tuple[float, float]:
            self._make_room(number)
            return slices.gather(
                shares[number].frames, shares[number].places, self.problem.counts, self._invalid, self._floor,
                self._own, self._plans, state.object.view(_F32), *self._beam, self._transfer[0], self._steeper[0],
                NOISE.index(noise), object, probe, told, self._apart[number], self._scratch[number].gather,
                self._thick[number], *self._parts.of(number),
            )  # fmt: skip

        differences, losses = zip(*self._run(share, range(self.threads)), strict=True)
        return sum(differences), sum(losses)

    def _load_state(self, state: State) -> None:
        """Check the state, and copy what is not an array of the loops; see `CpuBackend`."""
        if state.pointing is not None:
            raise refuse_with_slices("tilts of the beam")
        super()._load_state(state)
        spacing = 1.0 if state.slice_spacing is None else float(state.slice_spacing)
        if spacing != self._spacing:
            transfer = self._slices.transfer(spacing)
            normal = 1 / transfer.size
            self._as_probe(self._transfer)[:] = transfer * normal
            self._as_probe(self._steeper)[:] = 1j * self._slices.phase * transfer * normal
            self._spacing = spacing


def make_backend(problem: Problem, modes: int, threads: int | None = None) -> CpuBackend:
    """Return the sweeps for a problem, of a thin or a thick sample; see `CpuBackend` for the parameters.

    Raises
    ------
    InputError
        If the detector of a thick sample, or of a fly scan, is not ideal.
    """
    if problem.detector and (problem.slices or problem.exposures):
        what = "Slices go" if problem.slices else "Fly scans go"
        remedy = "Leave the settings of the group detector out, and set detector.flat to false"
        raise InputError(f"{what} with an ideal detector only, so far", found="a detector model", remedy=remedy)
    return (MultisliceCpuBackend if problem.slices else CpuBackend)(problem, modes, threads)
