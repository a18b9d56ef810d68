"""Room in the memory of the host, for the exit waves of all frames first of all."""

import ctypes
import math
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError


def room(shape: tuple[int, ...]) -> NDArray[np.complex64]:
    """Return zeros for the exit waves, shape (frames, modes, ny, nx).

    Raises
    ------
    InputError
        If they do not fit in the memory that is free.
    """
    refuse_waves(shape, free_memory())
    return np.zeros(shape, np.complex64)


def refuse_waves(shape: tuple[int, ...], free: float) -> None:
    """Refuse waves that are larger than so many bytes."""
    needed = math.prod(shape) * np.dtype(np.complex64).itemsize
    if needed > free:
        raise InputError(
            "The exit waves of all frames do not fit in memory, and this algorithm keeps them",
            found=f"{needed / 1e9:.3g} GB for {shape[0]} frames and {shape[1]} modes, with {free / 1e9:.3g} GB free",
            remedy="Use rPIE, which keeps none of them, or fewer modes or frames",
        )


def free_memory() -> float:
    """Return the bytes of memory that can be had without swapping, as far as the system tells, or infinity."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        entries = dict(line.split(":") for line in meminfo.read_text().splitlines())
        return float(entries["MemAvailable"].split()[0]) * 1024
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError):
        return float("inf")


def give_back() -> None:
    """Give freed memory back to the system; the allocator of Linux keeps tens of megabytes after frames were read."""
    trim = None if os.name == "nt" else getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
