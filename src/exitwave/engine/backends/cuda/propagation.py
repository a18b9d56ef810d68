"""From the sample to the detector and back."""

import torch
from torch import Tensor

from exitwave.engine.backends.cuda.probes import FrameProbes, ramps
from exitwave.engine.problem import Problem


class FarField:
    """The unitary Fourier transform."""

    def forth(self, waves: Tensor, beams: FrameProbes, views: Tensor) -> Tensor:
        """Return exit waves at the detector, shape (views, modes, ny, nx)."""
        return torch.fft.fft2(waves, norm="ortho")

    def back(self, waves: Tensor, beams: FrameProbes, views: Tensor) -> Tensor:
        """Return the inverse and adjoint of `forth`."""
        return torch.fft.ifft2(waves, norm="ortho")


class NearField:
    """The way to an image; see `engine.near`."""

    def __init__(self, transfer: Tensor) -> None:
        self._transfer = transfer

    def forth(self, waves: Tensor, beams: FrameProbes, views: Tensor) -> Tensor:
        """Return exit waves at the detector, shape (views, modes, ny, nx), shifted back to where they are."""
        return torch.fft.ifft2(torch.fft.fft2(waves) * self._factor(beams, views))

    def back(self, waves: Tensor, beams: FrameProbes, views: Tensor) -> Tensor:
        """Return the inverse and adjoint of `forth`."""
        return torch.fft.ifft2(torch.fft.fft2(waves) * self._factor(beams, views).conj())

    def _factor(self, beams: FrameProbes, views: Tensor) -> Tensor:
        rows, columns = ramps(beams.shape, -beams.shifts[views])
        return (self._transfer * rows * columns)[:, None]


def way(problem: Problem, device: torch.device) -> FarField | NearField:
    """Return the way to the detector of a problem."""
    if problem.propagator is None:
        return FarField()
    return NearField(torch.as_tensor(problem.propagator.transfer).to(device, torch.complex64))
