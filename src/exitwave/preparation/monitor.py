"""The intensity of the beam in each frame, from a monitor; used only where it explains the counts."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError
from exitwave.preparation.survey import Progress, Survey, survey_frames
from exitwave.scan import Decision, Scan


def use_monitor(
    scan: Scan, monitor: NDArray[Any], *, survey: Survey | None = None, progress: Progress | None = None
) -> Scan:
    """Return a scan with the intensity of the beam from a monitor, if the counts of the frames follow the monitor.

    The counts are not divided, because divided counts are not Poisson distributed: the engine scales the probe of each
    frame.

    Parameters
    ----------
    scan : Scan
        The scan.
    monitor : ndarray of shape (npos,)
        Intensity in each frame, in any unit. It is not used if the counts of the frames vary more after division by it
        than before.
    survey : Survey, optional
        Statistics of the frames; computed where not given.
    progress : callable, optional
        As in `survey_frames`.

    Returns
    -------
    Scan

    Raises
    ------
    InputError
        If the monitor does not have one finite positive number for each frame that is used.
    """
    values = np.asarray(monitor, np.float64).squeeze()
    npos = len(scan.patterns)
    used = np.zeros(npos, np.bool_)
    used[scan.used_frames] = True
    if values.shape != (npos,) or not np.isfinite(values[used]).all() or not (values[used] > 0).all():
        remedy = f"Give {npos} positive numbers, one for each frame"
        raise InputError("The monitor does not fit the frames", found=f"shape {np.shape(monitor)}", remedy=remedy)
    values = np.where(used, values, values[used].mean())
    sums = (survey or survey_frames(scan, progress)).frame_counts(scan.detector.always_good)
    used &= sums > 0
    before, after = (float(np.std(np.log(counts))) for counts in (sums[used], sums[used] / values[used]))
    numbers = {"counts_vary": before, "after_division": after}
    words = f"the counts of the frames vary by {before:.1%}, after division by the monitor by {after:.1%}"
    if after >= before:
        decision = Decision("monitor", "not used", numbers, words)
        return replace(scan, monitor=None, preparation=(*scan.preparation, decision))
    decision = Decision("monitor", "used", numbers, f"{words}; the probe of each frame is scaled by it")
    return replace(scan, monitor=values, preparation=(*scan.preparation, decision))
