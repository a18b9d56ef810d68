"""The measured counts, where the passes are or on the way there."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.problem import Problem


class Counts(NamedTuple):
    """What some frames have measured."""

    counts: Tensor
    """float32, shape (frames, ny, nx); 0 where there is no measurement."""
    valid: Tensor
    """Where there is one, bool."""


class Frames:
    """The frames of a problem as integers where they are integers, on the device or on the host.

    Parameters
    ----------
    problem : Problem
        Whose stack it is.
    device : torch.device
        Where the passes are.
    resident : bool
        Whether all frames are kept there; else the frames of a part come when it is their turn.
    """

    def __init__(self, problem: Problem, device: torch.device, *, resident: bool) -> None:
        stack, mark = problem.stack, np.array(problem.invalid, problem.stack.dtype)
        self._unsigned = stack.dtype == np.uint16
        if self._unsigned:  # the same bits: PyTorch can do little with unsigned integers
            stack, mark = stack.view(np.int16), mark.view(np.int16)
        self._invalid, self._device, self.resident = mark.item(), device, resident
        self._stack = torch.from_numpy(stack)
        if resident:
            self._stack = self._stack.to(device)

    def load(self, frames: NDArray[np.int64]) -> Counts:
        """Return some frames on the device."""
        index = torch.from_numpy(frames)
        raw = self._stack[index.to(self._stack.device)]
        if not self.resident:
            raw = (raw.pin_memory() if self._device.type == "cuda" else raw).to(self._device, non_blocking=True)
        valid = raw != self._invalid
        counts = (raw.int() & 0xFFFF).float() if self._unsigned else raw
        return Counts(torch.where(valid, counts, 0.0), valid)

    def signals(self, size: int) -> NDArray[np.float64]:
        """Return the sum of the counts of every frame, so many frames at a time."""
        parts = np.array_split(np.arange(len(self._stack)), -(-len(self._stack) // size))
        return np.concatenate([self.load(part).counts.sum((1, 2), dtype=torch.float64).cpu().numpy() for part in parts])
