"""Predict the memory of a reconstruction before anything is loaded, and refuse one that does not fit."""

import math

from exitwave.engine.backends.cpu.threads import default_threads
from exitwave.errors import InputError
from exitwave.memory import available_memory
from exitwave.positions.grid import object_grid
from exitwave.reconstruction.inputs import Inputs
from exitwave.units import show

COPIES, SUMS = 24, 12
"""Bytes for each object pixel: of the object with its copies, and of the sums of each thread."""
PROBES = 64
"""Bytes for each probe pixel, mode and thread."""
LIBRARIES, ADDRESSES, ADDRESSES_OF_THREAD = 60e6, 250e6, 50e6
"""Bytes of libraries that are loaded until the result is saved and judged, and bytes of address space that they and
each thread take, of which most are never written to."""


def check_memory(inputs: Inputs) -> None:
    """Refuse a reconstruction on the CPU whose frames, object and sums do not fit in the free memory.

    Raises
    ------
    InputError
        With what is needed, what is free, and sizes of the frames that would fit.
    """
    if inputs.device != "cpu":
        return
    (rows, columns), (ny, nx) = inputs.object_shape, inputs.scan.patterns.shape[1:]
    needed, free = (
        predicted(inputs, (rows, columns), (ny, nx)),
        available_memory(ADDRESSES + ADDRESSES_OF_THREAD * _threads(inputs)),
    )
    if needed <= free:
        return
    frames = len(inputs.scan.patterns)
    found = f"{show(needed, 'B', 3)} for {frames} frames of {ny} x {nx} pixels and an object of {rows} x {columns}"
    raise InputError(
        "The reconstruction would need more memory than there is",
        where=inputs.scan.path or "",
        found=f"{found} pixels; {show(free, 'B', 3)} are free",
        remedy=_remedy(inputs, free),
    )


def predicted(inputs: Inputs, object_shape: tuple[int, int], frame: tuple[int, int]) -> float:
    """Return the predicted bytes for an object and frames of given shapes; frames of whole counts need 2 bytes a pixel.

    Parameters
    ----------
    inputs : Inputs
        The inputs of the run.
    object_shape, frame : tuple of int
        Shape (rows, columns) of the object, and (ny, nx) of a frame.
    """
    recipe, processes = inputs.recipe, inputs.communicator.size
    earlier = 1 if inputs.earlier is None else inputs.earlier.slices
    threads = _threads(inputs)
    pixels = math.prod(object_shape) * max(recipe.slices, earlier)
    modes, samples = recipe.modes or 1, recipe.detector.oversample**2
    counts = 2.0 * len(inputs.scan.patterns) / processes * math.prod(frame)
    sums = pixels * (COPIES + SUMS * threads) + PROBES * modes * samples * threads * math.prod(frame)
    return counts + sums + LIBRARIES


def _threads(inputs: Inputs) -> int:
    return inputs.communicator.threads(inputs.recipe.threads) or default_threads()


def _remedy(inputs: Inputs, free: float) -> str:
    """Return what would fit: frames that are cropped or binned."""
    remedy, (ny, nx), fitting = "Give the process more memory", inputs.scan.patterns.shape[1:], []
    for factor in (2, 4, 8):
        if min(ny, nx) // factor >= 16:
            frame = ny // factor, nx // factor
            coarse = tuple(factor * step for step in inputs.scan.object_pixel)
            y, x = object_grid(inputs.exposures, frame, (coarse[0], coarse[1]))
            cropped = predicted(inputs, (len(y), len(x)), frame) <= free
            binned = predicted(inputs, inputs.object_shape, frame) <= free
            fitting += [f"exitwave prepare IN OUT --crop {max(frame)}"] if cropped else []
            fitting += [f"--bin {factor}"] if binned else []
    if fitting:
        return f"{remedy}, or use smaller frames. These would fit: {', '.join(fitting)}"
    return f"{remedy}, use a smaller part of the scan, or leave frames out before: exitwave prepare"
