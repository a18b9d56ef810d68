"""The error metric that photon noise alone causes, for a sample of the frames of a result."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exitwave.analysis.error import modelled_frames
from exitwave.analysis.frame_accounting import USED, account_for_frames
from exitwave.frames import MissingFrames
from exitwave.poisson import noise_misfit
from exitwave.scan import Result

PIXELS = 2**21
"""Detector pixels times probe modes for which the model is recomputed; this sets the number of frames."""
FRAMES = (8, 64)
"""Smallest and largest number of frames."""


class NoiseLimit(NamedTuple):
    """Error metric of a result compared with that of photon noise, on the same frames."""

    error: float
    """Error metric of a perfect model, which photon noise alone causes."""
    ratio: float
    """Error metric of the result divided by ``error``."""
    mean_counts: float
    """Mean counts per pixel and frame."""


def noise_limit(result: Result) -> NoiseLimit | None:
    """Compare the error metric of a result with the one that photon noise alone causes.

    Parameters
    ----------
    result : Result
        Its model is recomputed for the frames of `sample_frames`.

    Returns
    -------
    NoiseLimit or None
        None if the frames or the probe are missing, or if the frames have no counts.

    Raises
    ------
    InputError
        If a position lies outside the object.
    """
    if isinstance(result.scan.patterns, MissingFrames) or not len(result.probe):
        return None
    sums, pixels = np.zeros(3), 0
    for frame in modelled_frames(result, sample_frames(result)):
        counts, model = frame.counts[frame.good].astype(np.float64), frame.model[frame.good]
        misfit = ((np.sqrt(counts) - np.sqrt(model)) ** 2).sum()
        sums += misfit, noise_misfit(model).sum(), counts.sum()
        pixels += counts.size
    misfit, noise, total = (float(value) for value in sums)
    if not (total > 0 and noise > 0):
        return None
    return NoiseLimit(noise / total, misfit / noise, total / pixels)


def sample_frames(result: Result) -> NDArray[np.int64]:
    """Return the indices of evenly spaced used frames for which the model of a result is recomputed."""
    used = account_for_frames(result)[USED]
    number = int(np.clip(PIXELS // max(result.probe.size, 1), *FRAMES))
    return used[np.unique(np.linspace(0, len(used) - 1, number).astype(int))] if len(used) else used
