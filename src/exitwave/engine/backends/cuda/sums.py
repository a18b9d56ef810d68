"""What a pass adds up over frames. All sums over frames are formed here, but for those of lines and single frames."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.backend import Misfit, Sums
from exitwave.engine.backends.cuda import windows
from exitwave.engine.backends.cuda.detector import Judged, power
from exitwave.engine.backends.cuda.fused import fused
from exitwave.engine.backends.cuda.probes import FrameProbes


class Totals:
    """Sums over the frames of a pass.

    Parameters
    ----------
    obj, probe : Tensor
        What the sums have the shapes of.
    beams : Beams
        What the frames have of their own.
    exposures : int
        Views of a frame.
    """

    def __init__(self, obj: Tensor, probe: Tensor, beams: FrameProbes, exposures: int) -> None:
        self._beams, self._share = beams, 1 / exposures
        frame = tuple(probe.shape[1:])
        complexes, reals = [obj.shape, probe.shape, (beams.count, *frame)], [obj.shape, frame]
        zeros = _zeros(obj, complexes, reals)
        self.object, self.spectrum, self.varied, self.probe_density, self.object_density = zeros
        self.scalars = obj.new_zeros((2,), dtype=torch.float64)
        self.slice_spacing: Tensor | float = 0.0
        self.background: Tensor | None = None

    def compare(self, judged: Judged) -> None:
        """Add what the counts say of some frames."""
        self.scalars += judged.parts.sum((1, 2), dtype=torch.float64)
        if judged.background is not None:
            self.background = judged.background if self.background is None else self.background + judged.background

    def add_object(
        self, beam: Tensor, chi: Tensor, views: Tensor, places: NDArray[np.int64], layer: int | None = None
    ) -> None:
        """Add conj(P) chi and |P|^2 of waves (views, modes, ny, nx), where the corners of their windows are."""
        num, den = (each if layer is None else each[layer] for each in (self.object, self.probe_density))
        if (kernels := fused(num.device)) is not None:
            kernels.collect(num, den, beam, chi, self._beams.corners, views)
            return
        windows.add(num, (beam.conj() * chi).sum(1), places)
        windows.add(den, power(beam), places)

    def add_probe(self, obj: Tensor, chi: Tensor, views: Tensor) -> None:
        """Add conj(O) chi and |O|^2 of a thin object."""
        beams = self._beams
        first = beams.back(self.spectrum, windows.multiply(chi, obj, beams, views, conjugate=True), views)
        beams.vary_back(self.varied, first, views)
        if (kernels := fused(obj.device)) is not None:
            kernels.see(self.object_density, obj, beams.corners, views, self._share)
        else:
            window = windows.cut(obj, beams.corners[views], beams.shape)
            self.object_density += self._share * torch.view_as_real(window).square().sum((0, -1))

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The sums in the order of those of `Sums`, and after them difference and loss."""
        probe = torch.fft.ifft2(self.spectrum)
        return self.object, self.probe_density, probe, self.object_density, self.scalars

    def sums(self, signal: float, *, as_numpy: bool) -> Sums:
        """Return the sums of the pass, as tensors or as NumPy arrays."""
        as_wanted: Any = (lambda each: each.cpu().numpy()) if as_numpy else (lambda each: each)
        difference, loss = (float(each) if as_numpy else each for each in self.scalars.unbind())
        varied, background = self._beams.count, self.background
        return Sums(
            as_wanted(self.object),
            as_wanted(self.probe_density),
            as_wanted(torch.fft.ifft2(self.spectrum)),
            as_wanted(self.object_density),
            Misfit(difference, signal),
            loss,
            opr_modes=torch.fft.ifft2(self.varied).cpu().numpy() if varied else None,
            slice_spacing=float(self.slice_spacing),
            background=None if background is None else background.cpu().numpy(),
        )


def _zeros(like: Tensor, complexes: list[tuple[int, ...]], reals: list[tuple[int, ...]]) -> list[Tensor]:
    """Return complex and real zeros of some shapes, all set to 0 at once."""
    sizes = [2 * math.prod(shape) for shape in complexes] + [math.prod(shape) for shape in reals]
    pieces = torch.zeros(sum(sizes), device=like.device).split(sizes)
    found = [torch.view_as_complex(piece.view(*shape, 2)) for piece, shape in zip(pieces, complexes, strict=False)]
    return found + [piece.view(shape) for piece, shape in zip(pieces[len(complexes) :], reals, strict=True)]
