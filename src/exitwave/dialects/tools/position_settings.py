"""Settings for positions of a format that fixes neither their signs nor their number."""

import numpy as np
from numpy.typing import NDArray

from exitwave.dialects.dialect import Settings
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.frames import Frames
from exitwave.frames.linked import LinkedFrames

SIGNS = {"none": (1.0, 1.0), "x": (-1.0, 1.0), "y": (1.0, -1.0), "xy": (-1.0, -1.0)}
"""Factors of x and y for each value of the setting ``negate``."""
NEGATE = {"negate": "x, y, xy or none"}
"""The setting, as in `Dialect.settings`."""
SURPLUS = {"surplus": "drop"}
"""The setting that drops surplus frames or positions."""


def axis_signs(settings: Settings, default: str = "none") -> NDArray[np.float64]:
    """Return the factors (x, y) of the stored positions, from the user's ``negate``.

    Raises
    ------
    InputError
        If its value is unknown.
    """
    choice = settings.get("negate", default)
    if choice not in SIGNS:
        raise InputError("Unknown axes to negate", found=repr(choice), remedy=f"Use one of {', '.join(SIGNS)}")
    return np.array(SIGNS[choice])


def match_numbers(
    settings: Settings, frames: Frames, positions: NDArray[np.float64], where: str
) -> tuple[Frames, NDArray[np.float64], list[Finding]]:
    """Return frames and positions in equal number; ``surplus=drop`` of the user drops the surplus, with finding W213.

    Raises
    ------
    InputError
        If they differ in number and the user has not set ``surplus``.
    """
    choice, common = settings.get("surplus"), min(len(frames), len(positions))
    if choice not in (None, "drop"):
        raise InputError("Unknown value of surplus", found=repr(choice), remedy="Use surplus=drop")
    if len(frames) == len(positions):
        return frames, positions, []
    found = f"{len(frames)} frames and {len(positions)} positions"
    if choice is None:
        remedy = "If the first frame belongs to the first position, drop the surplus with --set surplus=drop"
        raise InputError("Frames and positions differ in number", where=where, found=found, remedy=remedy)
    note = finding("W213", where, found, "equal numbers", f"The first {common} of both were taken, as requested")
    pieces = frames.pieces if isinstance(frames, LinkedFrames) else [frames]
    return LinkedFrames(pieces, common), positions[:common], [note]
