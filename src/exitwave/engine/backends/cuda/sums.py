"""The sums of a pass over frames, except those of derivatives and of updates after every frame."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.backend import Misfit, Sums
from exitwave.engine.backends.cuda import windows
from exitwave.engine.backends.cuda.detector import Comparison, intensity
from exitwave.engine.backends.cuda.fused import fused_kernels
from exitwave.engine.backends.cuda.probes import FrameProbes


class PassSums:
    """Sums over the frames of a pass, on the device.

    Parameters
    ----------
    obj, probe : Tensor
        Object and probe, whose shapes the sums have.
    frame_probes : FrameProbes
        The probes of the exposures.
    exposures_per_frame : int
        Number of exposures of a frame.
    """

    def __init__(self, obj: Tensor, probe: Tensor, frame_probes: FrameProbes, exposures_per_frame: int) -> None:
        self._frame_probes, self._share = frame_probes, 1 / exposures_per_frame
        frame = tuple(probe.shape[1:])
        complex_shapes, real_shapes = [obj.shape, probe.shape, (frame_probes.opr_count, *frame)], [obj.shape, frame]
        zeros = _zeros(obj, complex_shapes, real_shapes)
        self.object, self.spectrum, self.opr_spectra, self.probe_density, self.object_density = zeros
        self.difference_and_loss = obj.new_zeros((2,), dtype=torch.float64)
        self.slice_spacing: Tensor | float = 0.0
        self.background: Tensor | None = None

    def add_comparison(self, comparison: Comparison) -> None:
        """Add the difference, the loss and the background terms of a group."""
        self.difference_and_loss += comparison.partial_sums.sum((1, 2), dtype=torch.float64)
        if comparison.background is not None:
            known = self.background
            self.background = comparison.background if known is None else known + comparison.background

    def add_object(
        self,
        probes: Tensor,
        chi: Tensor,
        exposures: Tensor,
        host_corners: NDArray[np.int64],
        slice_number: int | None = None,
    ) -> None:
        """Add conj(P) chi and |P|^2 of waves, shape (exposures, modes, ny, nx), to the sums of the object or a slice.

        ``host_corners`` are the corners of the windows, shape (exposures, 2). The fused kernels do not use them.
        """
        num, den = (each if slice_number is None else each[slice_number] for each in (self.object, self.probe_density))
        if (kernels := fused_kernels(num.device)) is not None:
            kernels.add_object(num, den, probes, chi, self._frame_probes.corners, exposures)
            return
        windows.add_windows(num, (probes.conj() * chi).sum(1), host_corners)
        windows.add_windows(den, intensity(probes), host_corners)

    def add_probe(self, obj: Tensor, chi: Tensor, exposures: Tensor) -> None:
        """Add conj(O) chi and |O|^2 of a thin object, or the first slice, to the sums of probe and OPR modes."""
        probes = self._frame_probes
        correction = windows.multiply(chi, obj, probes, exposures, conjugate=True)
        probes.add_opr(self.opr_spectra, probes.from_frame(self.spectrum, correction, exposures), exposures)
        if (kernels := fused_kernels(obj.device)) is not None:
            kernels.add_object_density(self.object_density, obj, probes.corners, exposures, self._share)
        else:
            window = windows.cut(obj, probes.corners[exposures], probes.shape)
            self.object_density += self._share * torch.view_as_real(window).square().sum((0, -1))

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The first four sums of `Sums`, then difference and loss, shape (2,)."""
        probe = torch.fft.ifft2(self.spectrum)
        return self.object, self.probe_density, probe, self.object_density, self.difference_and_loss

    def result(self, signal: float, *, as_numpy: bool) -> Sums:
        """Return the sums of the pass, as tensors or as NumPy arrays.

        Parameters
        ----------
        signal : float
            Sum of the counts of the frames.
        as_numpy : bool
            Whether the sums are NumPy arrays.
        """
        convert: Any = (lambda each: each.cpu().numpy()) if as_numpy else (lambda each: each)
        difference, loss = (float(each) if as_numpy else each for each in self.difference_and_loss.unbind())
        background = self.background
        return Sums(
            convert(self.object),
            convert(self.probe_density),
            convert(torch.fft.ifft2(self.spectrum)),
            convert(self.object_density),
            Misfit(difference, signal),
            loss,
            opr_modes=torch.fft.ifft2(self.opr_spectra).cpu().numpy() if self._frame_probes.opr_count else None,
            slice_spacing=float(self.slice_spacing),
            background=None if background is None else background.cpu().numpy(),
        )


def _zeros(like: Tensor, complex_shapes: list[tuple[int, ...]], real_shapes: list[tuple[int, ...]]) -> list[Tensor]:
    """Return complex and real zeros of some shapes, which one launch sets to 0."""
    sizes = [2 * math.prod(shape) for shape in complex_shapes] + [math.prod(shape) for shape in real_shapes]
    pieces = torch.zeros(sum(sizes), device=like.device).split(sizes)
    arrays = [
        torch.view_as_complex(piece.view(*shape, 2)) for piece, shape in zip(pieces, complex_shapes, strict=False)
    ]
    return arrays + [piece.view(shape) for piece, shape in zip(pieces[len(complex_shapes) :], real_shapes, strict=True)]
