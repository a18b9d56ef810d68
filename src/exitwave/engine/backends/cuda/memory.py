"""What a problem takes of a device's memory, so that a run that does not fit ends before it begins."""

import math
from typing import NamedTuple

import torch

from exitwave.engine.backends.host_memory import free_memory, refuse_waves
from exitwave.engine.problem import Problem
from exitwave.errors import InputError

OBJECTS = 10
"""Complex arrays of the object's size: itself, sums, moments, temporaries, and what is kept for the case of failure."""
THICK = 16
"""Further ones of a thick sample, beside one for each slice: the pairs and the filters of ML (`lbfgs`)."""
WAVES = 10
"""Complex arrays of a wave's size that a part of a pass needs for every wave, FFTs included."""
PART = {"cuda": 64 * 2**20, "cpu": 2**20}
"""Bytes of the waves of a part of a pass, where memory allows: enough for a device to be busy, and no more."""
SAFE = 0.9
"""Part of the free memory that is used."""
COMPLEX = 8


class Plan(NamedTuple):
    """How a problem is laid out on a device."""

    resident: bool
    """Whether the frames are kept there."""
    size: int
    """Frames that go through a pass together."""


def plan(problem: Problem, modes: int, device: torch.device) -> Plan:
    """Return how a problem fits on a device.

    Raises
    ------
    InputError
        If not even one frame at a time fits beside the object.
    """
    free = SAFE * free_on(device)
    views = problem.exposures.count if problem.exposures else 1
    slices = problem.slices.number if problem.slices else 1
    wave = COMPLEX * modes * views * math.prod(problem.shape)
    fixed, frame = needed(problem.full_shape, modes, slices * views, problem.shape)
    stack = problem.counts.nbytes if device.type != "cpu" else 0  # the host has it already
    if fixed + frame > free:
        found = f"{(fixed + frame) / 1e9:.3g} GB for object, probe and one frame, {free / 1e9:.3g} GB free on {device}"
        remedy = "Use fewer modes or slices, crop the frames (exitwave prepare), start more processes, each with a GPU "
        remedy += "and a tile of the object, or use --device cpu"
        raise InputError("The problem does not fit on the device", found=found, remedy=remedy)
    resident = fixed + stack + frame <= free
    left = free - fixed - (stack if resident else 0)
    return Plan(resident, max(1, min(PART[device.type] // wave, int(left // frame))))


def fits(device: str, object_shape: tuple[int, int], modes: int, views: int, shape: tuple[int, int]) -> bool:
    """Say whether the whole object, a probe of some shape and a frame fit on a device."""
    return sum(needed(object_shape, modes, views, shape)) <= SAFE * free_on(torch.device(device.removeprefix("torch-")))


def needed(object_shape: tuple[int, ...], modes: int, views: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Return the bytes of what is as large as object and probe, and of what one frame with so many views needs."""
    probe, slices = modes * math.prod(shape), object_shape[0] if len(object_shape) == 3 else 0
    arrays = OBJECTS + (THICK + slices if slices else 0)
    return arrays * COMPLEX * (math.prod(object_shape) + probe), WAVES * COMPLEX * views * probe


def room(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Return zeros for exit waves: on the device, or on the host where they do not fit there.

    Raises
    ------
    InputError
        If they do not fit on the host either.
    """
    needed = COMPLEX * math.prod(shape)
    if device.type != "cpu" and needed <= SAFE * free_on(device) / 2:
        return torch.zeros(shape, dtype=torch.complex64, device=device)
    refuse_waves(shape, free_memory())
    return torch.zeros(shape, dtype=torch.complex64)


def free_on(device: torch.device) -> float:
    """Return the bytes of memory that are free on a device."""
    if device.type != "cuda":
        return free_memory()
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return float(torch.cuda.mem_get_info(device)[0] + kept)
