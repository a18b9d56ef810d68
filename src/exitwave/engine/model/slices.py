"""Thick sample: equally spaced slices, and the propagation between them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError


@dataclass(frozen=True)
class Slices:
    """Slices of a thick sample, the first of them upstream."""

    number: int
    """Number of slices, 2 or more."""
    phase: NDArray[np.float64]
    """Phase in radians that a plane wave gains from one slice to the next, shape (ny, nx), zero frequency at [0, 0]."""
    cone: tuple[float, float]
    """Object pixels (row, column) by which the beam's cone widens, on every side, from one slice to the next."""

    def transfer(self, spacing: float = 1.0) -> NDArray[np.complex128]:
        """Return the transfer function between slices at ``spacing`` times the assumed distance, shape (ny, nx)."""
        return np.exp(1j * spacing * self.phase)

    def cropped(self, rows: NDArray[np.int64], columns: NDArray[np.int64], factor: int) -> "Slices":
        """Return the slices with some of the frequencies only, for object pixels larger by the factor."""
        phase = np.ascontiguousarray(self.phase[rows][:, columns])
        return replace(self, phase=phase, cone=(self.cone[0] / factor, self.cone[1] / factor))


def refuse_with_slices(what: str) -> InputError:
    """Return the error for an operation that is not supported with several slices."""
    return InputError(
        "This is not supported with several slices",
        found=what,
        remedy="Use an algorithm that supports slices, for example mPIE, or a single slice",
    )


def refuse_thin(what: str) -> InputError:
    """Return the error for a setting that needs a thick sample."""
    return InputError("A thin sample has no slices", found=what, remedy="Give the number of slices, 2 or more")


def split_object(obj: NDArray[Any], number: int) -> NDArray[Any]:
    """Return equal slices O^(1/n) whose product is a thin object, shape (number, rows, columns).

    The phase that is divided is the one within pi of the mean phase.
    """
    mean = np.angle(obj.sum())
    phase = (mean + np.angle(obj * np.exp(-1j * mean))) / number
    root = np.abs(obj) ** (1 / number) * np.exp(1j * phase)
    return np.repeat(root.astype(obj.dtype)[None], number, axis=0)
