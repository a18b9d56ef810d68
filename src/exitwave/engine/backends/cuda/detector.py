"""The modelled counts and their comparison with the measured counts.

See `engine.backend` and `engine.model.detector` for the equations.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.backend import READOUT, Noise
from exitwave.engine.backends.cuda.counts import GroupCounts
from exitwave.engine.backends.cuda.fused import fused_kernels
from exitwave.engine.backends.cuda.probes import to_device
from exitwave.engine.problem import Problem


def intensity(waves: Tensor) -> Tensor:
    """Return the sum of |wave|^2 over the modes of waves (n, modes, ny, nx)."""
    return torch.view_as_real(waves).square().sum((1, -1))


class Comparison(NamedTuple):
    """The comparison of a group's model with its counts."""

    partial_sums: Tensor
    """Sums over parts of a frame of (sqrt(I) - sqrt(m))^2 and of the loss, shape (2, frames, parts)."""
    background: Tensor | None
    """The group's terms of `Sums.background`, if the state has a background."""

    @property
    def difference(self) -> Tensor:
        """The sum of (sqrt(I) - sqrt(m))^2 over the pixels of every frame, shape (frames,)."""
        return self.partial_sums[0].sum(1)


class TorchDetector:
    """The detector of a problem, with the refined background of the state.

    Parameters
    ----------
    problem : Problem
        The problem, with the detector model.
    background : ndarray of shape (ny, nx) or None
        Refined background in counts, which is added to that of the detector model.
    device : torch.device
        Device of the passes.
    """

    def __init__(self, problem: Problem, background: NDArray[np.float64] | None, device: torch.device) -> None:
        self.floor, model = problem.floor, problem.detector
        self._refines_background, self._flat, self._cap, self._axes = background is not None, None, None, None
        self._background = None if background is None else to_device(background, device)
        if model is None:
            return
        self._flat, self._cap = to_device(model.flat, device), to_device(model.cap, device)
        self._background = to_device(model.background + (0 if background is None else background), device)
        if not model.local:
            self._axes = tuple(to_device(each, device) for each in model.axes)

    def linear(self, intensity: Tensor) -> Tensor:
        """Return the modelled counts of the intensity, shape (frames, ny, nx), without the background."""
        sampled = intensity if self._axes is None else self._axes[0] @ intensity @ self._axes[1].T
        return sampled if self._flat is None else self._flat * sampled

    def adjoint(self, force: Tensor) -> Tensor:
        """Return the adjoint of `linear`."""
        force = force if self._flat is None else self._flat * force
        return force if self._axes is None else self._axes[0].T @ force @ self._axes[1]

    def modelled_counts(self, intensity: Tensor) -> Tensor:
        """Return the modelled counts m of the intensity, shape (frames, ny, nx)."""
        counts = self.linear(intensity)
        return counts if self._background is None else counts + self._background

    def constrains(self, measured: GroupCounts, model: Tensor) -> Tensor:
        """Return the pixels that constrain the model: valid, and not saturated with a model above the counts."""
        if self._cap is None:
            return measured.valid
        return measured.valid & ((measured.counts < self._cap) | (model < measured.counts))

    def correct(
        self, far: Tensor, measured: GroupCounts, noise: Noise, *, corrections: bool = True
    ) -> tuple[Tensor, Comparison]:
        """Compare waves at the detector, shape (frames, waves, ny, nx), with the counts.

        Returns
        -------
        corrections : Tensor
            Corrections of the waves; without ``corrections`` the values are undefined.
        comparison : Comparison
            The sums of difference and loss.
        """
        kernels = fused_kernels(far.device) if self._background is None and self._flat is None else None
        if kernels is not None:
            arguments = measured.stored, measured.index, measured.invalid, self.floor, noise
            corrected, partial_sums = kernels.compare(far, *arguments)
            return corrected, Comparison(partial_sums, None)
        model = self.modelled_counts(intensity(far))
        comparison = self._compare(measured, model, noise)
        if not corrections:
            return far, comparison
        return far * self.adjoint(self.derivatives(measured, model, noise)[0])[:, None], comparison

    def _compare(self, measured: GroupCounts, model: Tensor, noise: Noise) -> Comparison:
        """Compare modelled counts with the measured ones."""
        constrains, counts, valid = self.constrains(measured, model), measured.counts, measured.valid
        difference = torch.where(constrains, (counts.sqrt() - model.sqrt()).square(), 0.0)
        loss = difference if noise == "amplitude" else torch.where(constrains, _loss(counts, model, noise), 0.0)
        partial_sums = torch.stack([difference, loss]).sum(-1)
        background = None
        if self._refines_background:
            ratio = torch.where(constrains, (counts - model) / model, 0.0)
            background = torch.stack([each.sum(0, dtype=torch.float64) for each in (ratio, valid)])
        return Comparison(partial_sums, background)

    def derivatives(self, measured: GroupCounts, model: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return -dL/dm and d2L/dm2 at modelled counts m; 0 on pixels that do not constrain the model."""
        counts, variance = measured.counts, measured.counts + READOUT
        if noise == "amplitude":
            faded = model + self.floor**2
            root = (counts * model).sqrt() / faded
            force, curvature = root - model / faded, root / (2 * faded)
        elif noise == "intensity":
            force, curvature = (counts - model) / (2 * variance), 1 / (2 * variance)
        else:
            force, curvature = (counts - model) / (2 * (model + READOUT)), variance / (2 * (model + READOUT).square())
        constrains = self.constrains(measured, model)
        return torch.where(constrains, force, 0.0), torch.where(constrains, curvature, 0.0)


def _loss(counts: Tensor, model: Tensor, noise: Noise) -> Tensor:
    """Return the loss of every pixel for the noise models "intensity" and "Poisson"."""
    variance, lack = counts + READOUT, counts - model
    if noise == "intensity":
        return lack.square() / (4 * variance)
    return -(lack + variance * torch.log1p(-lack / variance)) / 2
