"""Positions beside frames, where a format leaves signs and numbers to its user."""

import numpy as np
from numpy.typing import NDArray

from exitwave.dialects.dialect import Settings
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.frames import Frames
from exitwave.frames.linked import LinkedFrames

SIGNS = {"none": (1.0, 1.0), "x": (-1.0, 1.0), "y": (1.0, -1.0), "xy": (-1.0, -1.0)}
"""What the setting ``negate`` makes of x and y."""
NEGATE = {"negate": "x, y, xy or none"}
"""The setting, as `Dialect.settings` has it."""
SURPLUS = {"surplus": "drop"}
"""The setting that leaves out what lies beyond the smaller number of frames and positions."""


def axis_signs(settings: Settings, default: str = "none") -> NDArray[np.float64]:
    """Return the factors (x, y) by which stored positions are multiplied, from the user's ``negate``.

    Raises
    ------
    InputError
        If it is unknown.
    """
    choice = settings.get("negate", default)
    if choice not in SIGNS:
        raise InputError("Unknown axes to negate", found=repr(choice), remedy=f"Use one of {', '.join(SIGNS)}")
    return np.array(SIGNS[choice])


def match_numbers(
    settings: Settings, frames: Frames, positions: NDArray[np.float64], where: str
) -> tuple[Frames, NDArray[np.float64], list[Finding]]:
    """Return as many frames as positions: all, or what the user's ``surplus=drop`` leaves of them, with W213.

    Raises
    ------
    InputError
        If they differ in number, and the user does not say what to do about it.
    """
    choice, common = settings.get("surplus"), min(len(frames), len(positions))
    if choice not in (None, "drop"):
        raise InputError("Unknown way to treat a surplus", found=repr(choice), remedy="Use surplus=drop")
    if len(frames) == len(positions):
        return frames, positions, []
    found = f"{len(frames)} frames and {len(positions)} positions"
    if choice is None:
        remedy = "If they begin together, --set surplus=drop takes the first of both"
        raise InputError("Frames and positions differ in number", where=where, found=found, remedy=remedy)
    note = finding("W213", where, found, "as many of both", f"The first {common} were taken, as you asked")
    pieces = frames.pieces if isinstance(frames, LinkedFrames) else [frames]
    return LinkedFrames(pieces, common), positions[:common], [note]
