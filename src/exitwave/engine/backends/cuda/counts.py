"""The counts of the frames, on the device or on the host."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.problem import Problem


@dataclass(frozen=True, eq=False)
class GroupCounts:
    """The counts of a group of frames, on the device."""

    stored: Tensor
    """Frames that include those of the group, float32, or uint16 as int16 with the same bits, shape (n, ny, nx)."""
    index: Tensor
    """Index of every frame of the group in ``stored``, shape (frames,)."""
    invalid: float
    """The value in ``stored`` that marks a pixel without a measurement."""

    @cached_property
    def _raw(self) -> Tensor:
        return self.stored[self.index]

    @cached_property
    def valid(self) -> Tensor:
        """Whether a pixel has a measurement, bool, shape (frames, ny, nx)."""
        return self._raw != self.invalid

    @cached_property
    def counts(self) -> Tensor:
        """The counts, float32, shape (frames, ny, nx); 0 without a measurement."""
        counts = (self._raw.int() & 0xFFFF).float() if self.stored.dtype == torch.int16 else self._raw
        return torch.where(self.valid, counts, 0.0)

    def __len__(self) -> int:
        return len(self.index)


class DeviceCounts:
    """The counts of all frames of a problem, kept on the device or on the host.

    Parameters
    ----------
    problem : Problem
        Counts and geometry.
    device : torch.device
        Device of the passes.
    resident : bool
        Whether all counts are kept on the device. Otherwise each group is copied when a pass needs it.
    """

    def __init__(self, problem: Problem, device: torch.device, *, resident: bool) -> None:
        counts, invalid = problem.counts, np.array(problem.invalid, problem.counts.dtype)
        if counts.dtype == np.uint16:  # PyTorch supports few operations on unsigned integers
            counts, invalid = counts.view(np.int16), invalid.view(np.int16)
        self._invalid, self._device, self.resident = invalid.item(), device, resident
        self._counts = torch.from_numpy(counts)
        if resident:
            self._counts = self._counts.to(device)

    def load(self, frames: NDArray[np.int64], index: Tensor) -> GroupCounts:
        """Return the counts of some frames; ``index`` is ``frames`` as a tensor on the device."""
        if self.resident:
            return self.select(index)
        counts = self._counts[torch.from_numpy(frames)]
        counts = (counts.pin_memory() if self._device.type == "cuda" else counts).to(self._device, non_blocking=True)
        return GroupCounts(counts, torch.arange(len(frames), device=self._device), self._invalid)

    def select(self, index: Tensor) -> GroupCounts:
        """Return the counts of some frames, if all counts are on the device."""
        return GroupCounts(self._counts, index, self._invalid)

    def totals(self, group_size: int) -> NDArray[np.float64]:
        """Return the sum of the counts of every frame, shape (npos,), computed for ``group_size`` frames at a time."""
        groups = np.array_split(np.arange(len(self._counts)), -(-len(self._counts) // group_size))
        loaded = (self.load(group, torch.from_numpy(group).to(self._device)) for group in groups)
        return np.concatenate([each.counts.sum((1, 2), dtype=torch.float64).cpu().numpy() for each in loaded])
