"""Every frame accounted for: used, held out, or left out for a reason."""

import numpy as np
from numpy.typing import NDArray

from exitwave.scan import Result, Scan, scan_in

USED, HELD_OUT = "used", "held out to judge the result"
"""Names of the accounts of frames that were not left out."""


def ledger(data: Scan | Result) -> dict[str, NDArray[np.int64]]:
    """Account for every frame of a scan or a result.

    Parameters
    ----------
    data : Scan or Result
        A scan has frames to be used and frames left out; a result also frames that were held out.

    Returns
    -------
    dict of str to ndarray of int
        Sorted indices of the frames by account, each frame in exactly one: used first, then held out, then the reasons
        for which frames were left out. Of two reasons the first counts. Accounts without a frame are not listed, save
        the first.
    """
    scan = scan_in(data)
    free = np.ones(len(scan.patterns), dtype=bool)
    others = {HELD_OUT: _take(free, data.held_out)} if isinstance(data, Result) else {}
    others |= {reason: _take(free, np.array(frames, np.int64)) for reason, frames in scan.left_out.items()}
    return {USED: np.flatnonzero(free)} | {name: frames for name, frames in others.items() if len(frames)}


def _take(free: NDArray[np.bool_], frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return those of some frames that are free, sorted, and note that they no longer are."""
    taken = np.unique(frames[free[frames]])
    free[taken] = False
    return taken


def ranges(frames: NDArray[np.int64], most: int = 24) -> str:
    """Return sorted indices in words, such as ``3, 7–12``; of very many only the first."""
    if len(frames) == 0:
        return "none"
    runs = np.split(frames, 1 + np.flatnonzero(np.diff(frames) > 1))
    words = [str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs[:most]]
    left = sum(len(run) for run in runs[most:])
    return ", ".join(words) + (f" and {left} more" if left else "")
