"""Frames that cannot be read: each is marked as a frame without measurements, and the other frames are used."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import DAMAGE, InputError

MOST_DAMAGED = 0.1
"""Largest fraction of the frames of a scan that may be unreadable; with more, the scan is refused."""
NAMED = 8
"""Number of unreadable frames that a message names."""


def unreadable_frames(where: str, error: Exception, found: str = "") -> InputError:
    """Return the error to raise where HDF5 fails to read patterns."""
    remedy = "The file may be truncated, or use a compression filter that is not installed: copy it again, or repack it"
    found = f"{found}: {error}" if found else str(error)
    return InputError("The patterns cannot be read", where=where, found=found, remedy=f"{remedy} with gzip")


def no_measurement(dtype: np.dtype[Any]) -> Any:
    """Return the value of a type that marks a pixel without a measurement: NaN, or the largest integer."""
    return dtype.type(np.iinfo(dtype).max) if dtype.kind in "iu" else dtype.type(np.nan)


class Damage:
    """The frames of a stack that could not be read so far.

    Parameters
    ----------
    total : int
        Number of frames of the stack.

    Attributes
    ----------
    frames : set of int
        The frames that could not be read.
    refused : bool
        Whether a single unreadable frame is an error.
    """

    def __init__(self, total: int) -> None:
        self.total, self.refused = total, False
        self.frames: set[int] = set()

    def known(self, numbers: NDArray[np.int64]) -> bool:
        """Return whether any of some frames is known to be unreadable."""
        return bool(self.frames) and not self.frames.isdisjoint(numbers.ravel().tolist())

    def read(
        self, numbers: Iterable[int], read: Callable[[int], NDArray[Any]], blank: NDArray[Any], where: str
    ) -> list[NDArray[Any]]:
        """Read frames one by one; those that cannot be read become ``blank``.

        Parameters
        ----------
        numbers : iterable of int
            The frames.
        read : callable
            Reads one frame.
        blank : ndarray
            A frame without measurements.
        where : str
            File and dataset, for messages.

        Raises
        ------
        InputError
            If more than `MOST_DAMAGED` of all frames are unreadable, or any is and this is refused.
        MemoryError
            If there is not enough memory to read a frame.
        """
        return [self._read_one(int(number), read, blank, where) for number in numbers]

    def _read_one(
        self, number: int, read: Callable[[int], NDArray[Any]], blank: NDArray[Any], where: str
    ) -> NDArray[Any]:
        if number in self.frames:
            return blank
        try:
            return read(number)
        except DAMAGE as error:
            raise_if_out_of_memory(error)
            self.frames.add(number)
            if self.refused or len(self.frames) > MOST_DAMAGED * self.total:
                raise unreadable_frames(where, error, self._describe()) from error
            return blank

    def _describe(self) -> str:
        named = ", ".join(map(str, sorted(self.frames)[:NAMED])) + (", ..." if len(self.frames) > NAMED else "")
        limit = "frames.damaged=refuse" if self.refused else f"at most {MOST_DAMAGED:.0%} may be unreadable"
        return f"frame {named} of {self.total}; {limit}"


def raise_if_out_of_memory(error: Exception) -> None:
    """Raise MemoryError for an error of HDF5 or NumPy that says that memory is short, not that a file is damaged."""
    if isinstance(error, MemoryError) or "memory allocation failed" in str(error):
        raise MemoryError(str(error)) from error
