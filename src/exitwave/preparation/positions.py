"""Positions that cannot be right: their frames are left out, and the grid of the object stays sane."""

from dataclasses import replace

import numpy as np

from exitwave.errors import InputError
from exitwave.positions.faults import between, find_duplicates, find_outliers
from exitwave.scan import Decision, Scan


def clean_positions(scan: Scan) -> Scan:
    """Return a scan without the frames whose position is not finite, far from all others, or that of another frame.

    The frames stay in the stack and are listed in ``left_out``, by the reason. Their positions are replaced by those
    between their neighbours' in the order of the scan.

    Parameters
    ----------
    scan : Scan
        The scan; its positions may hold NaN.

    Returns
    -------
    Scan

    Raises
    ------
    InputError
        If fewer than two positions are left.
    """
    plane = scan.positions[:, :2]
    broken = ~np.isfinite(plane).all(axis=1)
    lone = find_outliers(plane)
    double = find_duplicates(plane) & ~lone
    reasons = {"position not finite": broken, "position far from the scan": lone, "position of another frame": double}
    bad = broken | lone | double
    if (~bad).sum() < 2:
        remedy = "Check the positions and their units; --set positions=um reads them as micrometres"
        raise InputError("Too few positions can be used", found=f"{(~bad).sum()} of {len(bad)}", remedy=remedy)
    found = {why: tuple(int(frame) for frame in np.flatnonzero(frames)) for why, frames in reasons.items()}
    found = {why: frames for why, frames in found.items() if frames}
    positions = between(scan.positions, bad)
    low, high = positions[:, :2].min(axis=0), positions[:, :2].max(axis=0)
    numbers = {"centre": ((low + high) / 2).tolist(), "extent": (high - low).tolist(), "left_out": found}
    words = "; ".join(f"{len(frames)} {why}" for why, frames in found.items()) or "all positions are plausible"
    step = Decision("positions", "checked", numbers, words)
    return replace(scan, positions=positions, left_out=scan.left_out | found, preparation=(*scan.preparation, step))
