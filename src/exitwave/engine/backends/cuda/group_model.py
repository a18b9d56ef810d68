"""The model of one group of frames, from object and probe to the corrections of the exit waves."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.backend import Noise
from exitwave.engine.backends.cuda import memory, windows
from exitwave.engine.backends.cuda.counts import DeviceCounts, GroupCounts
from exitwave.engine.backends.cuda.detector import Comparison, TorchDetector
from exitwave.engine.backends.cuda.graphs import Recorder
from exitwave.engine.backends.cuda.probes import FrameProbes
from exitwave.engine.backends.cuda.propagation import make_propagation
from exitwave.engine.problem import RIM, Problem
from exitwave.engine.state import State
from exitwave.errors import InputError


class FrameGroup(NamedTuple):
    """Frames that go through the steps of a pass together."""

    rows: slice
    """Rows of these frames in the arrays of the pass, whose first axis is that of its frames."""
    counts: GroupCounts
    """Their counts."""
    exposures: Tensor
    """Indices of their exposures, on the device; see `FrameProbes`."""
    host_corners: NDArray[np.int64]
    """Corners of the exposures' windows, shape (exposures, 2), on the host."""


class LoadedState(NamedTuple):
    """A state on the device."""

    obj: Tensor
    probe: Tensor
    spectrum: Tensor
    """Fourier transform of the probe, unnormalised."""
    frame_probes: FrameProbes
    detector: TorchDetector


class GroupModel:
    """The model of a group of frames on one device of PyTorch.

    Parameters
    ----------
    problem : Problem
        Counts and geometry.
    modes : int
        Number of probe modes.
    device : torch.device
        Device of the passes.
    threads : int
        Threads of the host, for the provenance of a result.

    Raises
    ------
    InputError
        If the problem does not fit in the device's memory.
    """

    def __init__(self, problem: Problem, modes: int, device: torch.device, threads: int) -> None:
        self.problem, self.device, self.threads = problem, device, threads
        self.exposures_per_frame = problem.exposures.count if problem.exposures else 1
        self.plan = memory.plan(problem, modes, device)
        self.counts = DeviceCounts(problem, device, resident=self.plan.resident)
        self.propagation = make_propagation(problem, device)
        self._totals = self.counts.totals(self.plan.group_size)
        self.recorder = Recorder(device)
        self._parameters: tuple[Any, ...] = ()
        self._loaded_parameters: tuple[FrameProbes, TorchDetector]

    def take(self, array: Any) -> Tensor:
        """Return an array on the device: the array itself where it is there already."""
        return torch.as_tensor(array).to(self.device, non_blocking=True)

    def load(self, state: State) -> LoadedState:
        """Return a state on the device."""
        self.check(state)
        obj, probe = self.take(state.object), self.take(state.probe)
        return LoadedState(obj, probe, torch.fft.fft2(probe), *self.load_parameters(state))

    def check(self, state: State) -> None:
        """Raise `TypeError` if object or probe has another shape or precision than required."""
        for array, shape in ((state.object, self.problem.full_shape), (state.probe[0], self.problem.shape)):
            if tuple(array.shape) != shape or str(array.dtype).removeprefix("torch.") != "complex64":
                raise TypeError(
                    f"a state needs contiguous complex64 arrays of shape {shape}, not {array.dtype} {array.shape}"
                )

    def load_parameters(self, state: State) -> tuple[FrameProbes, TorchDetector]:
        """Return the frames' probes and the detector for the refined parameters of a state.

        They are reused until an array of the state is replaced. Then the recorded graphs, which read them, are
        discarded.
        """
        parameters = (
            state.positions,
            state.probe_factors,
            state.opr_modes,
            state.opr_weights,
            state.pointing,
            state.background,
        )
        known = self._parameters
        if len(parameters) != len(known) or any(a is not b for a, b in zip(parameters, known, strict=True)):
            detector = TorchDetector(self.problem, state.background, self.device)
            self._loaded_parameters = FrameProbes(self.problem, state, self.device), detector
            self._parameters = parameters
            self.recorder.clear()
        return self._loaded_parameters

    def groups(
        self, frame_probes: FrameProbes, frames: NDArray[np.int64], group_size: int | None = None
    ) -> Iterator[FrameGroup]:
        """Yield the frames in groups, in their order, with ``group_size`` frames or as many as planned."""
        size, e = group_size or self.plan.group_size, self.exposures_per_frame
        for start in range(0, len(frames), size):
            group = np.ascontiguousarray(frames[start : start + size])
            exposures = (group[:, None] * e + np.arange(e)).reshape(-1)
            rows = slice(start, start + len(group))
            on_device = self.take(exposures)
            counts = self.counts.load(group, on_device if e == 1 else self.take(group))
            yield FrameGroup(rows, counts, on_device, frame_probes.host_corners[exposures])

    def exit_waves(self, loaded: LoadedState, group: FrameGroup) -> tuple[Tensor, Tensor]:
        """Return the probes and the exit waves of a thin sample, both of shape (exposures, modes, ny, nx)."""
        probes = loaded.frame_probes.probes(loaded.spectrum, group.exposures)
        return probes, windows.multiply(probes, loaded.obj, loaded.frame_probes, group.exposures)

    def object_windows(self, loaded: LoadedState, group: FrameGroup) -> Tensor:
        """Return the windows of the object, shape (..., exposures, ny, nx)."""
        return windows.cut(loaded.obj, loaded.frame_probes.corners[group.exposures], self.problem.shape)

    def propagate(self, loaded: LoadedState, group: FrameGroup, waves: Tensor) -> Tensor:
        """Return exit waves of the group at the detector, shape (exposures, modes, ny, nx)."""
        return self.propagation.propagate(waves, loaded.frame_probes, group.exposures)

    def propagate_back(self, loaded: LoadedState, group: FrameGroup, waves: Tensor) -> Tensor:
        """Return the inverse, which is the adjoint, of `propagate`."""
        return self.propagation.propagate_back(waves, loaded.frame_probes, group.exposures)

    def correct(
        self, loaded: LoadedState, group: FrameGroup, psi: Tensor, noise: Noise, *, corrections: bool = True
    ) -> tuple[Tensor, Comparison]:
        """Compare exit waves with the counts.

        Returns
        -------
        chi : Tensor of shape (exposures, modes, ny, nx)
            Corrections of the exit waves; without ``corrections`` the values are undefined.
        comparison : Comparison
            The sums of difference and loss.
        """
        far = self.propagate(loaded, group, psi)
        waves = far.reshape(len(group.counts), -1, *self.problem.shape)
        corrected, comparison = loaded.detector.correct(waves, group.counts, noise, corrections=corrections)
        if not corrections:
            return far, comparison
        return self.propagate_back(loaded, group, corrected.reshape(far.shape)), comparison

    def signal(self, frames: NDArray[np.int64]) -> float:
        """Return the sum of the counts of some frames."""
        return float(self._totals[frames].sum())

    def refuse_exposures(self) -> None:
        """Raise `InputError` in a fly scan, for a pass that does not support it."""
        if self.problem.exposures:
            remedy = "Use an algorithm that supports fly scans, for example mPIE"
            raise InputError("This pass over the frames does not support fly scans", found="exposures", remedy=remedy)

    def check_derivatives(self, frame_probes: FrameProbes, frames: NDArray[np.int64]) -> None:
        """Raise `InputError` if a window is closer than `RIM` pixels to the object's edge, for derivatives there."""
        corners = frame_probes.host_corners.reshape(len(self.problem.counts), -1, 2)[frames]
        if (corners < RIM).any() or (corners + np.array(self.problem.shape) + RIM > self.problem.object_shape).any():
            raise InputError(
                "A window has less than two pixels of the object around it",
                found="a position at the edge of the object",
                remedy="Positions and object do not match; start again from the scan",
            )
