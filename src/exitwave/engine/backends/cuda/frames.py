"""The measured counts, where the passes are or on the way there."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.problem import Problem


@dataclass(frozen=True, eq=False)
class Counts:
    """What some frames have measured."""

    array: Tensor
    """Where the frames are, on the device: float32, or uint16 as int16 of the same bits, shape (some, ny, nx)."""
    frames: Tensor
    """Which of these they are."""
    invalid: float
    """What marks a pixel without a measurement there."""

    @cached_property
    def _raw(self) -> Tensor:
        return self.array[self.frames]

    @cached_property
    def valid(self) -> Tensor:
        """Where there is a measurement, bool, shape (frames, ny, nx)."""
        return self._raw != self.invalid

    @cached_property
    def counts(self) -> Tensor:
        """The counts, float32; 0 where there is no measurement."""
        counts = (self._raw.int() & 0xFFFF).float() if self.array.dtype == torch.int16 else self._raw
        return torch.where(self.valid, counts, 0.0)

    def __len__(self) -> int:
        return len(self.frames)


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
        stack, mark = problem.counts, np.array(problem.invalid, problem.counts.dtype)
        if stack.dtype == np.uint16:  # PyTorch can do little with unsigned integers
            stack, mark = stack.view(np.int16), mark.view(np.int16)
        self._invalid, self._device, self.resident = mark.item(), device, resident
        self._stack = torch.from_numpy(stack)
        if resident:
            self._stack = self._stack.to(device)

    def load(self, frames: NDArray[np.int64], index: Tensor) -> Counts:
        """Return some frames on the device, where the index has the same numbers."""
        if self.resident:
            return self.at(index)
        some = self._stack[torch.from_numpy(frames)]
        some = (some.pin_memory() if self._device.type == "cuda" else some).to(self._device, non_blocking=True)
        return Counts(some, torch.arange(len(frames), device=self._device), self._invalid)

    def at(self, index: Tensor) -> Counts:
        """Return some of frames that are all on the device."""
        return Counts(self._stack, index, self._invalid)

    def signals(self, size: int) -> NDArray[np.float64]:
        """Return the sum of the counts of every frame, so many frames at a time."""
        parts = np.array_split(np.arange(len(self._stack)), -(-len(self._stack) // size))
        loads = (self.load(part, torch.from_numpy(part).to(self._device)) for part in parts)
        return np.concatenate([each.counts.sum((1, 2), dtype=torch.float64).cpu().numpy() for each in loads])
