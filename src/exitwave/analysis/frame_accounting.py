"""Account of every frame of a scan or result: used, held out, or left out for a reason."""

import numpy as np
from numpy.typing import NDArray

from exitwave.scan import Result, Scan, scan_in, with_unreadable_frames

USED, HELD_OUT = "used", "held out to judge the result"
"""Names of the groups of frames that were not left out."""


def account_for_frames(data: Scan | Result) -> dict[str, NDArray[np.int64]]:
    """Sort the frames of a scan or a result into groups, each frame into exactly one.

    Parameters
    ----------
    data : Scan or Result
        A scan has frames to use and frames that are left out; a result also has held-out frames.

    Returns
    -------
    dict of str to ndarray of int
        Sorted frame indices by group: first the used frames, then the held-out frames, then one group for each reason
        to leave frames out. A frame with two reasons is in the group of the first. Empty groups are not listed, except
        the first.
    """
    scan = with_unreadable_frames(scan_in(data))
    free = np.ones(len(scan.patterns), dtype=bool)
    others = {HELD_OUT: _take(free, data.held_out)} if isinstance(data, Result) else {}
    others |= {reason: _take(free, np.array(frames, np.int64)) for reason, frames in scan.left_out.items()}
    return {USED: np.flatnonzero(free)} | {name: frames for name, frames in others.items() if len(frames)}


def _take(free: NDArray[np.bool_], frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the frames that are in no group yet, sorted, and clear their flags in ``free``."""
    taken = np.unique(frames[free[frames]])
    free[taken] = False
    return taken


def format_ranges(frames: NDArray[np.int64], most: int = 24) -> str:
    """Format sorted indices as text such as ``3, 7–12``, with at most ``most`` ranges."""
    if len(frames) == 0:
        return "none"
    runs = np.split(frames, 1 + np.flatnonzero(np.diff(frames) > 1))
    words = [str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs[:most]]
    left = sum(len(run) for run in runs[most:])
    return ", ".join(words) + (f" and {left} more" if left else "")
