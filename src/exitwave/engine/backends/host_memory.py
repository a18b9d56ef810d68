"""Memory of the host: how much is free, and the allocation of the exit waves of all frames."""

import ctypes
import math
import os

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError
from exitwave.memory import available_memory


def allocate_waves(shape: tuple[int, ...]) -> NDArray[np.complex64]:
    """Return zeros for the stored exit waves, shape (frames, modes, ny, nx).

    Raises
    ------
    InputError
        If they do not fit in the free memory.
    """
    refuse_waves(shape, free_memory())
    return np.zeros(shape, np.complex64)


def refuse_waves(shape: tuple[int, ...], free: float) -> None:
    """Raise `InputError` if exit waves of a shape (frames, modes, ny, nx) need more than ``free`` bytes."""
    needed = math.prod(shape) * np.dtype(np.complex64).itemsize
    if needed > free:
        raise InputError(
            "The exit waves of all frames, which this algorithm stores, do not fit in memory",
            found=f"{needed / 1e9:.3g} GB for {shape[0]} frames and {shape[1]} modes, with {free / 1e9:.3g} GB free",
            remedy="Use rPIE, which stores no exit waves, or fewer modes or frames",
        )


def free_memory() -> float:
    """Return the bytes of memory that this process may still allocate without swapping."""
    return available_memory()


def release_freed_memory() -> None:
    """Return freed memory to the system: the allocator of Linux keeps tens of megabytes after frames were read."""
    trim = None if os.name == "nt" else getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
