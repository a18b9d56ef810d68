"""The passes over frames on tensors; see `Backend` for the definition of each."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.backend import Line, Misfit, Noise, ProjectionWeights, Step, Sums
from exitwave.engine.backends.cuda import derivatives, memory, updates, windows
from exitwave.engine.backends.cuda.descent import descend
from exitwave.engine.backends.cuda.fused import fused_kernels
from exitwave.engine.backends.cuda.group_model import FrameGroup, GroupModel, LoadedState
from exitwave.engine.backends.cuda.responses import object_responses, parameter_responses
from exitwave.engine.backends.cuda.sums import PassSums
from exitwave.engine.state import State

_NO_CORNERS: NDArray[np.int64] = np.zeros((0, 2), np.int64)
"""Corners of windows that only the device has."""


class TorchBackend(GroupModel):
    """The passes on one device of PyTorch; see `GroupModel` for the parameters."""

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
        if responses is None and self._recordable(state):
            return self._gather_recorded(state, frames, object, probe, noise)
        loaded = self.load(state)
        gradients = gradients or self.problem.slices is not None
        if responses is not None and gradients:
            self.check_derivatives(loaded.frame_probes, frames)
        sums = PassSums(loaded.obj, loaded.probe, loaded.frame_probes, self.exposures_per_frame)
        for group in self.groups(loaded.frame_probes, frames):
            rows = None if responses is None else responses[group.rows]
            self.add_group(
                loaded, group, sums, object=object, probe=probe, noise=noise, responses=rows, gradients=gradients
            )
        return sums.result(self.signal(frames), as_numpy=isinstance(state.object, np.ndarray))

    def _recordable(self, state: State) -> bool:
        """Return whether the operations of `gather` are the same in every pass, without a result that the host needs.

        Only the fused kernels add windows at corners that are on the device.
        """
        host_results = state.opr_modes is not None or state.background is not None or self.problem.slices is not None
        fixed = self.counts.resident and torch.is_tensor(state.object) and not host_results
        return self.recorder.enabled and fixed and fused_kernels(self.device) is not None

    def _gather_recorded(
        self, state: State, frames: NDArray[np.int64], object: bool, probe: bool, noise: Noise
    ) -> Sums:
        """Sum the corrections of the frames with operations that can be recorded as a CUDA graph."""
        self.check(state)
        obj, modes, parameters = self.take(state.object), self.take(state.probe), self.load_parameters(state)
        e, size = self.exposures_per_frame, self.plan.group_size

        def action(index: Tensor) -> tuple[Tensor, ...]:
            loaded = LoadedState(obj, modes, torch.fft.fft2(modes), *parameters)
            sums = PassSums(loaded.obj, loaded.probe, loaded.frame_probes, e)
            for start in range(0, len(index), size):
                frames = index[start : start + size]
                exposures = (frames[:, None] * e + torch.arange(e, device=self.device)).reshape(-1)
                rows = slice(start, start + len(frames))
                group = FrameGroup(rows, self.counts.select(frames), exposures, _NO_CORNERS)
                self.add_group(loaded, group, sums, object=object, probe=probe, noise=noise, responses=None)
            return sums.tensors

        key = obj.data_ptr(), modes.data_ptr(), len(frames), object, probe, noise
        *arrays, difference_and_loss = self.recorder.run(key, action, self.take(frames))
        difference, loss = difference_and_loss.clone().unbind()
        of_object, probe_density, of_probe, object_density = arrays
        misfit: Any = Misfit(difference, self.signal(frames))
        return Sums(of_object, probe_density, of_probe, object_density, misfit, loss)

    def add_group(
        self,
        loaded: LoadedState,
        group: FrameGroup,
        sums: PassSums,
        *,
        object: bool,
        probe: bool,
        noise: Noise,
        responses: NDArray[np.float64] | None,
        gradients: bool = False,
    ) -> None:
        """Add one group's corrections to the sums of a pass, and write its responses; see `Backend.gather`."""
        probes, psi = self.exit_waves(loaded, group)
        corrections = object or probe or responses is not None
        chi, comparison = self.correct(loaded, group, psi, noise, corrections=corrections)
        sums.add_comparison(comparison)
        if object:
            sums.add_object(probes, chi, group.exposures, group.host_corners)
        if responses is not None:
            corners, shape, e = loaded.frame_probes.corners, self.problem.shape, self.exposures_per_frame
            slopes = windows.gradients(loaded.obj, corners[group.exposures], shape) if gradients else ()
            slopes = tuple(probes * each[:, None] for each in slopes)
            columns = [comparison.difference, *object_responses(slopes, psi, chi, e)]
            columns += parameter_responses(loaded, group, loaded.obj, psi, chi, e)
            responses[:] = torch.stack(columns, 1).cpu().numpy()
        if probe:
            sums.add_probe(loaded.obj, chi, group.exposures)

    def line_derivatives(
        self, state: State, line: Line, frames: NDArray[np.int64], lengths: NDArray[np.float64], noise: Noise
    ) -> NDArray[np.float64]:
        """Return the derivatives of the loss along a line; see `Backend.line_derivatives`."""
        return derivatives.line_derivatives(self, state, line, frames, lengths, noise)

    def position_derivatives(self, state: State, frames: NDArray[np.int64], noise: Noise) -> NDArray[np.float64]:
        """Return the derivatives of the loss with respect to the positions; see `Backend.position_derivatives`."""
        self.refuse_exposures()
        return derivatives.position_derivatives(self, state, frames, noise)

    def cross_term(self, state: State, frames: NDArray[np.int64], object: Any, probe: Any) -> float:
        """Return the overlap of the exit-wave changes of two changes; see `Backend.cross_term`."""
        self.refuse_exposures()
        return derivatives.cross_term(self, state, frames, object, probe)

    def misfit(self, state: State, frames: NDArray[np.int64]) -> Misfit:
        """Compare the model with the measurement; see `Backend.misfit`."""
        return self.gather(state, frames, object=False, probe=False).misfit

    def sequential(self, state: State, frames: NDArray[np.int64], object: Step | None, probe: Step | None) -> Misfit:
        """Update the state in place after every frame; see `Backend.sequential`."""
        self.refuse_exposures()
        return updates.sequential(self, state, frames, object, probe)

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
        """Advance the stored exit waves of the frames and sum the differences to the model; see `Backend.project`."""
        self.refuse_exposures()
        return updates.project(self, state, frames, waves, weights, object=object, probe=probe)

    def allocate_waves(self, shape: tuple[int, ...]) -> Any:
        """Return zeros for the stored exit waves; see `Backend.allocate_waves`."""
        return memory.allocate_waves(shape, self.device)

    def descend(self, target: Any, numerator: Any, denominator: Any, step: Step, velocity: Any = None) -> None:
        """Add the regularised step to the target in place; see `Backend.descend`."""
        descend(self.recorder, target, numerator, denominator, step, velocity)
