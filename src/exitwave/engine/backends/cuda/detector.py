"""Comparison of waves at the detector with the counts; see `sweeps` and `engine.detector` for the equations."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.backend import READOUT, Noise
from exitwave.engine.backends.cuda.frames import Counts
from exitwave.engine.backends.cuda.fused import fused
from exitwave.engine.backends.cuda.probes import tensor
from exitwave.engine.problem import Problem


def power(waves: Tensor) -> Tensor:
    """Return the sum of the intensities of waves (n, modes, ny, nx) over the modes."""
    return torch.view_as_real(waves).square().sum((1, -1))


class Judged(NamedTuple):
    """What the counts say of some frames."""

    parts: Tensor
    """Sums over parts of a frame of (sqrt(I) - sqrt(m))^2 and of the loss, shape (2, frames, parts)."""
    background: Tensor | None
    """What they say of the background; see `Sums.background`."""

    @property
    def difference(self) -> Tensor:
        """The former sum over all pixels of every frame, shape (frames,)."""
        return self.parts[0].sum(1)


class Detector:
    """The detector of a problem, with a background that is learnt where there is one.

    Parameters
    ----------
    problem : Problem
        Whose detector it is.
    more : ndarray or None
        Counts without the beam beside those that the problem knows of.
    device : torch.device
        Where the passes are.
    """

    def __init__(self, problem: Problem, more: NDArray[np.float64] | None, device: torch.device) -> None:
        self.floor, model = problem.floor, problem.detector
        self._learns, self._flat, self._cap, self._axes = more is not None, None, None, None
        self._background = None if more is None else tensor(more, device)
        if model is None:
            return
        self._flat, self._cap = tensor(model.flat, device), tensor(model.cap, device)
        self._background = tensor(model.background + (0 if more is None else more), device)
        if not model.local:
            self._axes = tuple(tensor(each, device) for each in model.axes)

    def linear(self, intensity: Tensor) -> Tensor:
        """Return the expected counts of the intensity, shape (frames, ny, nx), without a background."""
        seen = intensity if self._axes is None else self._axes[0] @ intensity @ self._axes[1].T
        return seen if self._flat is None else self._flat * seen

    def back(self, force: Tensor) -> Tensor:
        """Return the adjoint of `linear`."""
        force = force if self._flat is None else self._flat * force
        return force if self._axes is None else self._axes[0].T @ force @ self._axes[1]

    def counts(self, intensity: Tensor) -> Tensor:
        """Return the expected counts of the intensity."""
        seen = self.linear(intensity)
        return seen if self._background is None else seen + self._background

    def asked(self, measured: Counts, model: Tensor) -> Tensor:
        """Return where the counts ask for something of the model: not where they are a cap that it exceeds."""
        if self._cap is None:
            return measured.valid
        return measured.valid & ((measured.counts < self._cap) | (model < measured.counts))

    def correct(self, far: Tensor, measured: Counts, noise: Noise, *, wanted: bool = True) -> tuple[Tensor, Judged]:
        """Return the correction, where it is wanted, of waves (frames, waves, ny, nx), and what the counts say."""
        kernels = fused(far.device) if self._background is None and self._flat is None else None
        if kernels is not None:
            arguments = measured.array, measured.frames, measured.invalid, self.floor, noise
            corrected, parts = kernels.judge(far, *arguments)
            return corrected, Judged(parts, None)
        model = self.counts(power(far))
        judged = self._judged(measured, model, noise)
        if not wanted:
            return far, judged
        return far * self.back(self.derivatives(measured, model, noise)[0])[:, None], judged

    def _judged(self, measured: Counts, model: Tensor, noise: Noise) -> Judged:
        """Return what the counts say of what is expected."""
        asked, counts, valid = self.asked(measured, model), measured.counts, measured.valid
        difference = torch.where(asked, (counts.sqrt() - model.sqrt()).square(), 0.0)
        loss = difference if noise == "amplitude" else torch.where(asked, _loss(counts, model, noise), 0.0)
        parts = torch.stack([difference, loss]).sum(-1)
        said = None
        if self._learns:
            ratio = torch.where(asked, (counts - model) / model, 0.0)
            said = torch.stack([each.sum(0, dtype=torch.float64) for each in (ratio, valid)])
        return Judged(parts, said)

    def derivatives(self, measured: Counts, model: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return - dL/dm and d2L/dm2 of every pixel at the expected counts m, 0 where nothing is asked for."""
        counts, variance = measured.counts, measured.counts + READOUT
        if noise == "amplitude":
            faded = model + self.floor**2
            root = (counts * model).sqrt() / faded
            force, curve = root - model / faded, root / (2 * faded)
        elif noise == "intensity":
            force, curve = (counts - model) / (2 * variance), 1 / (2 * variance)
        else:
            force, curve = (counts - model) / (2 * (model + READOUT)), variance / (2 * (model + READOUT).square())
        asked = self.asked(measured, model)
        return torch.where(asked, force, 0.0), torch.where(asked, curve, 0.0)


def _loss(counts: Tensor, model: Tensor, noise: Noise) -> Tensor:
    """Return the loss of every pixel, of the models of intensity."""
    variance, lack = counts + READOUT, counts - model
    if noise == "intensity":
        return lack.square() / (4 * variance)
    return -(lack + variance * torch.log1p(-lack / variance)) / 2
