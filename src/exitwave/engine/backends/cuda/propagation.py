"""The propagation of exit waves to the detector and back."""

import torch
from torch import Tensor

from exitwave.engine.backends.cuda.probes import FrameProbes, ramps
from exitwave.engine.problem import Problem


class FarField:
    """The unitary Fourier transform."""

    def propagate(self, waves: Tensor, frame_probes: FrameProbes, exposures: Tensor) -> Tensor:
        """Return exit waves of some exposures at the detector, shape (exposures, modes, ny, nx)."""
        return torch.fft.fft2(waves, norm="ortho")

    def propagate_back(self, waves: Tensor, frame_probes: FrameProbes, exposures: Tensor) -> Tensor:
        """Return the inverse, which is the adjoint, of `propagate`."""
        return torch.fft.ifft2(waves, norm="ortho")


class NearField:
    """The propagation to a detector in the near field; see `engine.model.near_field`.

    Parameters
    ----------
    transfer : Tensor of shape (ny, nx)
        Transfer function, zero frequency at [0, 0].
    """

    def __init__(self, transfer: Tensor) -> None:
        self._transfer = transfer

    def propagate(self, waves: Tensor, frame_probes: FrameProbes, exposures: Tensor) -> Tensor:
        """Return exit waves at the detector, shape (exposures, modes, ny, nx), without the sub-pixel shift."""
        return torch.fft.ifft2(torch.fft.fft2(waves) * self._factor(frame_probes, exposures))

    def propagate_back(self, waves: Tensor, frame_probes: FrameProbes, exposures: Tensor) -> Tensor:
        """Return the inverse, which is the adjoint, of `propagate`."""
        return torch.fft.ifft2(torch.fft.fft2(waves) * self._factor(frame_probes, exposures).conj())

    def _factor(self, frame_probes: FrameProbes, exposures: Tensor) -> Tensor:
        rows, columns = ramps(frame_probes.shape, -frame_probes.shifts[exposures])
        return (self._transfer * rows * columns)[:, None]


def make_propagation(problem: Problem, device: torch.device) -> FarField | NearField:
    """Return the propagation of a problem."""
    if problem.propagator is None:
        return FarField()
    return NearField(torch.as_tensor(problem.propagator.transfer).to(device, torch.complex64))
