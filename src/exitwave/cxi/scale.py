"""What positions must be like for a scan to be reconstructed, whatever file they come from."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.checks import believable
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.positions.faults import between, find_outliers
from exitwave.positions.grid import object_grid
from exitwave.scan import Scan

FARTHEST = 1e6
"""Metres from which a position is no number that means anything."""
MISSING = 0.2
"""Most of the positions that may be missing."""


def finite_positions(
    positions: NDArray[np.float64], remarks: list[Finding], where: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return positions, shape (npos, 3), with those that are not finite put between their neighbours, and which.

    Raises
    ------
    InputError
        If more than `MISSING` of them are not finite.
    """
    broken = np.asarray(~(np.abs(positions) < FARTHEST).all(axis=1))
    wrong = np.flatnonzero(broken)
    if not wrong.size:
        return positions, broken
    if broken.mean() > MISSING:
        raise InputError(
            "Positions are not finite",
            where=where,
            found=f"{wrong.size} of {len(positions)}, the first at index {wrong[0]}",
            remedy="Leave out these frames and their positions",
        )
    found = f"{wrong.size} of {len(positions)} positions, the first at index {wrong[0]}, are not finite"
    remarks.append(finding("W243", _inside(where), found, "finite numbers", "Their frames are left out"))
    return between(positions, broken), broken


def of_believable_scale(scan: Scan, remarks: list[Finding], where: str, positions_at: str = "") -> Scan:
    """Return the scan, without positions far from all others if these make it too large to be reconstructed.

    ``where`` is the place of the geometry, ``positions_at`` that of the positions, for messages.

    Raises
    ------
    InputError
        If the object pixel is impossible, or the scan is too large without outliers too.
    """
    pixel = scan.object_pixel
    if not believable(pixel):
        raise InputError(
            "The geometry gives an impossible object pixel",
            where=where,
            found=f"{pixel[0]:.3g} m x {pixel[1]:.3g} m, from wavelength {scan.wavelength:.3g} m, distance "
            f"{scan.detector.distance:g} m and pixels of {scan.detector.pixel_size[1]:g} m",
            remedy="Check their units; --set distance=2m, --set pixel_size=75um and --set energy=8.8keV replace them",
        )
    try:
        object_grid(scan.positions, scan.patterns.shape[1:], pixel)
        return scan
    except InputError:
        far = find_outliers(scan.positions[:, :2])
        positions = between(scan.positions, far)
        object_grid(positions, scan.patterns.shape[1:], pixel)
    frames = tuple(np.flatnonzero(far).tolist())
    found = f"{len(frames)} of {len(far)} positions, the first at index {frames[0]}, lie far from all others"
    remarks.append(finding("W244", positions_at, found, "positions of one scan", "Their frames are left out"))
    return replace(scan, positions=positions, left_out=scan.left_out | {"position far from the scan": frames})


def _inside(where: str) -> str:
    """Return the path inside a file of ``file:path``."""
    return where.rpartition(":")[2]
