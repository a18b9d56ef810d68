"""The beam's intensity in every frame, from a monitor: believed only where it explains the counts."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError
from exitwave.preparation.survey import Progress, Survey, survey
from exitwave.scan import Decision, Scan


def use_monitor(
    scan: Scan, monitor: NDArray[Any], *, found: Survey | None = None, progress: Progress | None = None
) -> Scan:
    """Return a scan whose beam has the intensity of a monitor, if the counts of the frames follow it.

    The counts stay as they are, for divided counts are no Poisson numbers: the engine scales the probe of every frame.

    Parameters
    ----------
    scan : Scan
        The scan.
    monitor : ndarray of shape (npos,)
        Intensity in every frame, in any unit. It is left aside where the counts of the frames, divided by it, vary more
        than before.
    found : Survey, optional
        What is known of the frames; else they are looked at.
    progress : callable, optional
        As `survey`.

    Returns
    -------
    Scan

    Raises
    ------
    InputError
        If there is not one finite positive number for every frame that is used.
    """
    values = np.asarray(monitor, np.float64).squeeze()
    npos = len(scan.patterns)
    lit = np.zeros(npos, np.bool_)
    lit[scan.wanted] = True
    if values.shape != (npos,) or not np.isfinite(values[lit]).all() or not (values[lit] > 0).all():
        remedy = f"Give {npos} positive numbers, one for each frame"
        raise InputError("The monitor does not fit the frames", found=f"shape {np.shape(monitor)}", remedy=remedy)
    values = np.where(lit, values, values[lit].mean())
    sums = (found or survey(scan, progress)).frame_counts(scan.detector.always_good)
    lit &= sums > 0
    before, after = (float(np.std(np.log(each))) for each in (sums[lit], sums[lit] / values[lit]))
    numbers = {"counts_vary": before, "after_division": after}
    words = f"the counts of the frames vary by {before:.1%}, divided by the monitor by {after:.1%}"
    if after >= before:
        step = Decision("crop", "no monitor", numbers, f"{words}: it was left aside")
        return replace(scan, monitor=None, preparation=(*scan.preparation, step))
    step = Decision("crop", "monitor", numbers, f"{words}: the probe of a frame is scaled by it")
    return replace(scan, monitor=values, preparation=(*scan.preparation, step))
