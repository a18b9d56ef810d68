"""Checks and messages on arrays that the readers of several file formats share."""

from collections.abc import Sequence
from typing import Any

import h5py
from numpy.typing import NDArray

from exitwave.errors import InputError
from exitwave.frames import Frames

NO_POSITIONS = "The positions are missing or have the wrong type or shape"
"""Message about positions that cannot be read."""


def describe(values: NDArray[Any] | h5py.Dataset | Frames | None) -> str:
    """Return the type and shape of an array, for messages; "nothing" for None."""
    return "nothing" if values is None else f"{values.dtype} of shape {values.shape}"


def check_one_shape(stacks: Sequence[Frames], where: str) -> None:
    """Refuse stacks whose frames differ in shape.

    Raises
    ------
    InputError
        If they do.
    """
    shapes = sorted({str(stack.shape[1:]) for stack in stacks})
    if len(shapes) > 1:
        remedy = "Give the files of one scan only"
        raise InputError("The frames differ in shape", where=where, found=", ".join(shapes), remedy=remedy)


def without_single_slice(image: NDArray[Any]) -> NDArray[Any]:
    """Return an object of one slice, shape (1, ny, nx), as an image of shape (ny, nx), and others unchanged."""
    return image[0] if image.ndim == 3 and len(image) == 1 else image
