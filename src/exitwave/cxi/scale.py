"""Check positions and geometry of a scan from any file, and repair single positions."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.checks import is_plausible
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.positions.faults import find_outliers, interpolate_bad
from exitwave.positions.grid import object_grid
from exitwave.scan import Scan

FARTHEST = 1e6
"""Positions at this distance or more, in metres, are meaningless."""
MISSING = 0.2
"""Largest share of the positions that may be missing."""


def replace_missing_positions(
    positions: NDArray[np.float64], remarks: list[Finding], where: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return positions, shape (npos, 3), with missing ones interpolated between neighbours, and which were missing.

    Raises
    ------
    InputError
        If more than the share `MISSING` of them is not finite.
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
            remedy="Remove these frames and their positions from the file",
        )
    found = f"{wrong.size} of {len(positions)} positions, the first at index {wrong[0]}, are not finite"
    remarks.append(finding("W243", _path_in_file(where), found, "finite numbers", "Their frames are excluded"))
    return interpolate_bad(positions, broken), broken


def check_scale(scan: Scan, remarks: list[Finding], where: str, positions_at: str = "") -> Scan:
    """Return the scan; if outlying positions make it too large to be reconstructed, their frames are excluded.

    Parameters
    ----------
    scan : Scan
        The scan as read.
    remarks : list of Finding
        W244 is added here if frames are excluded.
    where, positions_at : str
        Places of the geometry and of the positions, for messages.

    Raises
    ------
    InputError
        If the object pixel is impossible, or the scan is too large even without outliers.
    """
    pixel = scan.object_pixel
    if not is_plausible(pixel, near=scan.near is not None):
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
        positions = interpolate_bad(scan.positions, far)
        object_grid(positions, scan.patterns.shape[1:], pixel)
    frames = tuple(np.flatnonzero(far).tolist())
    found = f"{len(frames)} of {len(far)} positions, the first at index {frames[0]}, are far from all others"
    remarks.append(finding("W244", positions_at, found, "positions of one scan", "Their frames are excluded"))
    return replace(scan, positions=positions, left_out=scan.left_out | {"position far from the scan": frames})


def _path_in_file(where: str) -> str:
    """Return the path inside the file from ``file:path``."""
    return where.rpartition(":")[2]
