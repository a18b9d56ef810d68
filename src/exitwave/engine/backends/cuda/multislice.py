"""The passes on tensors for a thick sample; see `engine.backend` for the equations."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.backend import Noise
from exitwave.engine.backends.cuda import windows
from exitwave.engine.backends.cuda.group_model import FrameGroup, LoadedState
from exitwave.engine.backends.cuda.passes import TorchBackend
from exitwave.engine.backends.cuda.responses import inner, object_responses, parameter_responses
from exitwave.engine.backends.cuda.sums import PassSums
from exitwave.engine.backends.gather_only import GatherOnly
from exitwave.engine.model.slices import refuse_with_slices
from exitwave.engine.state import State


class MultisliceTorchBackend(GatherOnly, TorchBackend):
    """The passes through several slices; see `GroupModel` for the parameters."""

    _spacing = 0.0
    """Relative slice spacing for which the two arrays below were made."""
    _transfer: Tensor
    """Transfer function between slices, shape (ny, nx)."""
    _transfer_derivative: Tensor
    """Its derivative with respect to the relative slice spacing."""

    def load(self, state: State) -> LoadedState:
        """Return a state on the device, and set the transfer function for its slice spacing."""
        if state.pointing is not None:
            raise refuse_with_slices("beam pointing")
        assert self.problem.slices is not None
        spacing = 1.0 if state.slice_spacing is None else float(state.slice_spacing)
        if spacing != self._spacing:
            transfer = self.problem.slices.transfer(spacing)
            derivative = 1j * self.problem.slices.phase * transfer
            self._transfer, self._transfer_derivative = (
                self.take(each).to(torch.complex64) for each in (transfer, derivative)
            )
            self._spacing = spacing
        return super().load(state)

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
        gradients: bool = True,
    ) -> None:
        """Add one group's corrections in all slices to the sums, and write its responses; see `Backend.gather`."""
        slices = self.object_windows(loaded, group)
        entering = [loaded.frame_probes.probes(loaded.spectrum, group.exposures)]
        for each in slices[:-1]:
            entering.append(_filter(entering[-1] * each[:, None], self._transfer))
        psi, corrections = entering[-1] * slices[-1][:, None], object or probe or responses is not None
        chi, comparison = self.correct(loaded, group, psi, noise, corrections=corrections)
        sums.add_comparison(comparison)
        chis = [chi]
        for each in slices.flip(0)[:-1] if corrections else ():
            chis.insert(0, _filter(each.conj()[:, None] * chis[0], self._transfer.conj()))
        if object:
            for number, (wave, each) in enumerate(zip(entering, chis, strict=True)):
                sums.add_object(wave, each, group.exposures, group.host_corners, slice_number=number)
        if responses is not None:
            columns = [comparison.difference, *self._slice_responses(loaded, group, slices, entering, chi, sums)]
            columns += parameter_responses(loaded, group, loaded.obj[0], psi, chis[0], self.exposures_per_frame)
            responses[:] = torch.stack(columns, 1).cpu().numpy()
        if probe:
            sums.add_probe(loaded.obj[0], chis[0], group.exposures)

    def _slice_responses(
        self,
        loaded: LoadedState,
        group: FrameGroup,
        slices: Tensor,
        entering: list[Tensor],
        chi: Tensor,
        sums: PassSums,
    ) -> list[Tensor]:
        """Return the responses of a group without the first and those of OPR, and add <Z, chi> of the slice spacing.

        Parameters
        ----------
        loaded, group, sums
            As in `add_group`.
        slices : Tensor of shape (slices, frames, ny, nx)
            Windows of the slices.
        entering : list of Tensor
            Waves that enter the slices, each of shape (frames, modes, ny, nx).
        chi : Tensor of shape (frames, modes, ny, nx)
            Corrections of the exit waves.
        """
        corners, shape = loaded.frame_probes.corners[group.exposures], self.problem.shape
        gradients = windows.gradients(loaded.obj, corners, shape)
        y, x = (slope[0][:, None] * entering[0] for slope in gradients)
        z = torch.zeros_like(y)
        for number in range(1, len(slices)):
            added = _filter(slices[number - 1][:, None] * entering[number - 1], self._transfer_derivative)
            window = slices[number][:, None]
            y, x = (
                window * _filter(wave, self._transfer) + slope[number][:, None] * entering[number]
                for wave, slope in zip((y, x), gradients, strict=True)
            )
            z = window * (_filter(z, self._transfer) + added)
        sums.slice_spacing = sums.slice_spacing + inner(z, chi).sum(dtype=torch.float64)
        return object_responses((y, x), slices[-1][:, None] * entering[-1], chi)


def _filter(waves: Tensor, transfer: Tensor) -> Tensor:
    """Return waves after multiplication of their spectra by a transfer function."""
    return torch.fft.ifft2(torch.fft.fft2(waves) * transfer)
