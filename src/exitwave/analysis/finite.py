"""Values of a result that cannot be right: find them, and replace them so that the rest can be analysed."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exitwave.scan import Result

LARGEST = 1e15
"""Modulus from which on a value is impossible: the probe has the unit of square roots of counts."""
NO_POSITION = "position not finite in the result"
"""Reason why a frame of a result is left out of its analysis."""


def impossible(values: ArrayLike) -> NDArray[np.bool_]:
    """Return which values are not finite, or larger than any probe or object; of the shape of ``values``."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(~(np.abs(np.asarray(values)) < LARGEST))


def impossible_values(result: Result) -> dict[str, int]:
    """Return the number of impossible values of the parts of a result, by name; parts without any are not listed.

    Parameters
    ----------
    result : Result
        A result; its object, probe, positions, covered area, errors and refined parts of the model are searched.

    Returns
    -------
    dict of str to int
        For example ``{"object": 36, "errors": 1}``.
    """
    parts: dict[str, ArrayLike] = {"object": result.object, "probe": result.probe, "positions": result.positions}
    parts |= {"covered area": result.mask, "errors": result.errors} | result.model
    counts = {name: int(impossible(values).sum()) for name, values in parts.items()}
    return {name: count for name, count in counts.items() if count}


def with_finite_values(result: Result) -> Result:
    """Return a result whose impossible values are replaced, so that everything can be computed from it.

    Object and probe become 0 there, and the object is not covered there. A frame with an impossible position gets the
    position of the scan and is left out. A refined part of the model with an impossible value is dropped, and so is a
    Fourier ring correlation. A result without such values is returned unchanged.
    """
    bad = impossible_values(result)
    frc = result.frc
    if frc is not None and any(
        impossible(each).any() for each in (frc.frequency, frc.correlation, frc.threshold, frc.resolution)
    ):
        result = replace(result, frc=None)
    if not bad.keys() - {"errors"}:
        return result
    hole = impossible(result.object)
    uncovered = hole.any(axis=0) if hole.ndim == 3 else hole
    lost = impossible(result.positions).any(axis=1)
    dropped = bad.keys() | ({"opr_weights", "opr_modes"} if bad.keys() & {"opr_weights", "opr_modes"} else set())
    scan = result.scan
    if lost.any():
        scan = replace(scan, left_out=scan.left_out | {NO_POSITION: tuple(np.flatnonzero(lost).tolist())})
    return replace(
        result,
        scan=scan,
        object=np.where(hole, 0, result.object).astype(np.complex64),
        probe=np.where(impossible(result.probe), 0, result.probe).astype(np.complex64),
        positions=np.where(np.asarray(lost)[:, None], scan.positions, result.positions),
        mask=np.where(uncovered | impossible(result.mask), 0, result.mask).astype(np.float32),
        held_out=np.setdiff1d(result.held_out, np.flatnonzero(lost)),
        model={name: values for name, values in result.model.items() if name not in dropped},
    )
