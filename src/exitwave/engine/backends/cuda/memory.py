"""The memory that a problem needs on a device, so that a run that does not fit ends before it starts."""

import math
from typing import NamedTuple

import torch

from exitwave.engine.backends.host_memory import free_memory, refuse_waves
from exitwave.engine.problem import Problem
from exitwave.errors import InputError

OBJECT_ARRAYS = 10
"""Number of complex arrays of the object's size: object, sums, moments, temporary arrays and the copy for failures."""
MULTISLICE_ARRAYS = 16
"""Number of further ones for a thick sample, beside one for every slice: the pairs and filters of ML (`lbfgs`)."""
WAVE_ARRAYS = 10
"""Number of complex arrays that a pass needs for every wave of a group, including those of the FFTs."""
GROUP_BYTES = {"cuda": 64 * 2**20, "cpu": 2**20}
"""Bytes of the waves of one group of frames, if memory permits. Larger groups do not use a device better."""
USABLE = 0.9
"""Fraction of the free memory that is used."""
COMPLEX_BYTES = 8
"""Bytes of a complex number."""


class Plan(NamedTuple):
    """The use of a device's memory for a problem."""

    resident: bool
    """Whether the counts of all frames are kept on the device."""
    group_size: int
    """Number of frames that go through a pass together."""


def plan(problem: Problem, modes: int, device: torch.device) -> Plan:
    """Return how a problem uses the memory of a device.

    Raises
    ------
    InputError
        If object, probe and one frame do not fit.
    """
    free = USABLE * free_memory_on(device)
    exposures = problem.exposures.count if problem.exposures else 1
    slices = problem.slices.number if problem.slices else 1
    waves = COMPLEX_BYTES * modes * exposures * math.prod(problem.shape)
    fixed, frame = bytes_needed(problem.full_shape, modes, slices * exposures, problem.shape)
    counts = problem.counts.nbytes if device.type != "cpu" else 0  # on the CPU, no copy is made
    if fixed + frame > free:
        found = f"{(fixed + frame) / 1e9:.3g} GB for object, probe and one frame, {free / 1e9:.3g} GB free on {device}"
        remedy = "Use fewer modes or slices, crop the frames (exitwave prepare), start several processes, each with "
        remedy += "its own GPU and tile of the object, or use --device cpu"
        raise InputError("The problem does not fit on the device", found=found, remedy=remedy)
    resident = fixed + counts + frame <= free
    left = free - fixed - (counts if resident else 0)
    return Plan(resident, max(1, min(GROUP_BYTES[device.type] // waves, int(left // frame))))


def fits(device: str, object_shape: tuple[int, int], modes: int, exposures: int, shape: tuple[int, int]) -> bool:
    """Return whether the whole object, the probe and one frame fit in the free memory of a device.

    Parameters
    ----------
    device : str
        The device, as `device.resolve` returns it.
    object_shape : tuple of int
        Rows and columns of the object.
    modes : int
        Number of probe modes.
    exposures : int
        Number of exposures of a frame.
    shape : tuple of int
        Shape (ny, nx) of the probe.
    """
    needed = sum(bytes_needed(object_shape, modes, exposures, shape))
    return needed <= USABLE * free_memory_on(torch.device(device.removeprefix("torch-")))


def bytes_needed(object_shape: tuple[int, ...], modes: int, exposures: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Return the bytes of all arrays of the size of object and probe, and the bytes of the waves of one frame.

    ``exposures`` is the number of exposures of a frame, times the number of slices.
    """
    probe, slices = modes * math.prod(shape), object_shape[0] if len(object_shape) == 3 else 0
    arrays = OBJECT_ARRAYS + (MULTISLICE_ARRAYS + slices if slices else 0)
    fixed = arrays * COMPLEX_BYTES * (math.prod(object_shape) + probe)
    return fixed, WAVE_ARRAYS * COMPLEX_BYTES * exposures * probe


def allocate_waves(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Return zeros for the stored exit waves: on the device, or on the host if they do not fit on the device.

    Raises
    ------
    InputError
        If they do not fit in the host's memory either.
    """
    needed = COMPLEX_BYTES * math.prod(shape)
    if device.type != "cpu" and needed <= USABLE * free_memory_on(device) / 2:
        return torch.zeros(shape, dtype=torch.complex64, device=device)
    refuse_waves(shape, free_memory())
    return torch.zeros(shape, dtype=torch.complex64)


def free_memory_on(device: torch.device) -> float:
    """Return the bytes of free memory on a device, including the memory that PyTorch has reserved but not allocated."""
    if device.type != "cuda":
        return free_memory()
    reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return float(torch.cuda.mem_get_info(device)[0] + reserved)
