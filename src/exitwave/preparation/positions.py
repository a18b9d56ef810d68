"""Implausible positions: exclude their frames, so that the grid of the object stays as small as the scan."""

from dataclasses import replace

import numpy as np

from exitwave.errors import InputError
from exitwave.positions.faults import find_duplicates, find_outliers, interpolate_bad
from exitwave.scan import Decision, Scan


def clean_positions(scan: Scan) -> Scan:
    """Return a scan without the frames whose position is not finite, far from all others, or that of another frame.

    The frames stay in the stack and are listed in ``left_out``, by the reason. Their positions are interpolated between
    those of their neighbours in the order of the scan.

    Parameters
    ----------
    scan : Scan
        The scan; its positions may be NaN.

    Returns
    -------
    Scan

    Raises
    ------
    InputError
        If fewer than two positions are left.
    """
    plane = scan.positions[:, :2]
    not_finite = ~np.isfinite(plane).all(axis=1)
    outliers = find_outliers(plane)
    duplicates = find_duplicates(plane) & ~outliers
    reasons = {
        "position not finite": not_finite,
        "position far from the scan": outliers,
        "position of another frame": duplicates,
    }
    bad = not_finite | outliers | duplicates
    if (~bad).sum() < 2:
        remedy = "Check the positions and their units; --set positions=um reads them as micrometres"
        raise InputError("Too few positions can be used", found=f"{(~bad).sum()} of {len(bad)}", remedy=remedy)
    left_out = {why: tuple(int(frame) for frame in np.flatnonzero(frames)) for why, frames in reasons.items()}
    left_out = {why: frames for why, frames in left_out.items() if frames}
    positions = interpolate_bad(scan.positions, bad)
    low, high = positions[:, :2].min(axis=0), positions[:, :2].max(axis=0)
    numbers = {"centre": ((low + high) / 2).tolist(), "extent": (high - low).tolist(), "left_out": left_out}
    words = "; ".join(f"{len(frames)} {why}" for why, frames in left_out.items()) or "all positions are plausible"
    decision = Decision("positions", "checked", numbers, words)
    return replace(
        scan, positions=positions, left_out=scan.left_out | left_out, preparation=(*scan.preparation, decision)
    )
