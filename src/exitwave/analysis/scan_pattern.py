"""Classification of the scan pattern from the positions, in the order of the measurement."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

ScanPattern = Literal["raster", "fermat", "rings", "jittered grid", "unknown"]
GOLDEN = np.pi * (3 - np.sqrt(5))
"""Golden angle, the angle between consecutive points of a Fermat spiral."""


def guess_scan_pattern(positions: NDArray[np.float64]) -> ScanPattern:
    """Guess the scan pattern from the positions.

    Parameters
    ----------
    positions : ndarray of shape (npos, 3)
        Positions in metres in the order of the scan, columns x, y, z.

    Returns
    -------
    str
        ``raster``, ``fermat``, ``rings``, ``jittered grid`` or ``unknown``. The lines of a grid may run in either
        direction, or in alternating directions.
    """
    plane = positions[:, :2]
    if len(plane) < 9 or not (np.ptp(plane, axis=0) > 0).all():
        return "unknown"
    if _turns_by_golden_angle(plane):
        return "fermat"
    residual = min(_grid_residual(plane), _grid_residual(plane[:, ::-1]))
    if residual < 0.4:
        return "raster" if residual < 0.05 else "jittered grid"
    return "rings" if _has_few_radii(plane) else "unknown"


def _turns_by_golden_angle(plane: NDArray[np.float64]) -> bool:
    """Return whether the outer points turn by the golden angle about the mean."""
    centred = plane - plane.mean(axis=0)
    wave = centred @ np.array([1, 1j])
    outer = np.abs(wave) > np.median(np.abs(wave))
    turns = np.angle(wave[1:] / np.where(wave[:-1] == 0, 1, wave[:-1]))[outer[1:] & outer[:-1]]
    return (
        turns.size > 0 and abs(float(np.median(np.abs(turns))) - GOLDEN) < 0.05 and float(np.std(np.abs(turns))) < 0.2
    )


def _grid_residual(plane: NDArray[np.float64]) -> float:
    """Return the rms distance from the best grid in steps, for a fast axis in the first column; inf without a grid."""
    best = np.inf
    for n in range(3, len(plane) // 3 + 1):
        rows = len(plane) // n
        lines = plane[: rows * n].reshape(rows, n, 2)
        for alternating in (False, True):
            fast = lines[:, :, 0].copy()
            if alternating:
                fast[1::2] = fast[1::2, ::-1]
            best = min(best, _residual(fast, lines[:, :, 1]))
    return best


def _residual(fast: NDArray[np.float64], slow: NDArray[np.float64]) -> float:
    """Return the rms distance of (rows, n) coordinates from an even grid, in steps of the grid along each axis."""
    along, across = fast.mean(axis=0), slow.mean(axis=1)
    steps = [np.ptp(mean) / (len(mean) - 1) for mean in (along, across)]
    if min(steps) <= 0:
        return np.inf
    for mean, step in zip((along, across), steps, strict=True):
        if (np.abs(np.abs(np.diff(mean)) / step - 1) > 0.5).any():
            return np.inf
    errors = ((fast - along) / steps[0]) ** 2, ((slow - across[:, None]) / steps[1]) ** 2
    return float(np.sqrt(max(error.mean() for error in errors)))


def _has_few_radii(plane: NDArray[np.float64]) -> bool:
    """Return whether the points lie on a few circles about the middle or the first point."""
    for centre in ((plane.min(axis=0) + plane.max(axis=0)) / 2, plane[0]):
        radii = np.sort(np.hypot(*(plane - centre).T))
        rings = np.split(radii, 1 + np.flatnonzero(np.diff(radii) > 0.02 * radii[-1]))
        if not 3 <= len(rings) <= len(plane) / 4:
            continue
        step = float(np.median(np.diff([ring.mean() for ring in rings])))
        if max(np.ptp(ring) for ring in rings) < 0.1 * step:
            return True
    return False
