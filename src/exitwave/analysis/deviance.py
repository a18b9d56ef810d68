"""Deviance of the counts from the model of a result, compared with the deviance that photon noise alone causes."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.analysis.error import ModelledFrame, modelled_frames
from exitwave.analysis.frame_accounting import USED, account_for_frames
from exitwave.frames import MissingFrames
from exitwave.poisson import deviance, deviance_moments
from exitwave.positions.grid import split, to_pixels
from exitwave.scan import Result

PIXELS = 2**21
"""Detector pixels times probe modes for which the model is recomputed; this sets the number of frames."""
FRAMES = (8, 64)
"""Smallest and largest number of frames."""
INSIDE = 0.9
"""Share of the probe inside the covered area above which a held-out frame is compared. A frame at the edge of the scan
illuminates an area that no used frame has seen."""


@dataclass(frozen=True)
class Deviance:
    """Deviance of the counts of some frames from their model, and its distribution for Poisson counts of the model."""

    frames: int
    """Number of frames."""
    value: float
    """Mean deviance per good pixel and frame."""
    expected: float
    """Expectation of ``value`` if only photon noise separates the counts from the model."""
    spread: float
    """Standard deviation of ``value`` in that case."""
    mean_counts: float
    """Mean counts per good pixel and frame."""

    @property
    def ratio(self) -> float:
        """Deviance divided by that of photon noise: 1 for a perfect model."""
        return self.value / self.expected

    @property
    def sigmas(self) -> float:
        """Difference from the expectation in standard deviations."""
        return (self.value - self.expected) / self.spread

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers, for ``--json``."""
        return asdict(self) | {"ratio": self.ratio, "sigmas": self.sigmas}


def deviance_of_used(result: Result) -> Deviance | None:
    """Return the deviance of a sample of the used frames of a result.

    Returns
    -------
    Deviance or None
        None if the frames or the probe are missing, or if the frames have no counts.

    Raises
    ------
    InputError
        If a position lies outside the object.
    """
    return _deviance_of(result, sample_frames(result))


def deviance_of_held_out(result: Result) -> Deviance | None:
    """Return the deviance of held-out frames of a result, without those at the edge of the scan (`INSIDE`).

    Returns
    -------
    Deviance or None
        None if there are no such frames, if frames or probe are missing, or if the frames have no counts.

    Raises
    ------
    InputError
        If a position lies outside the object.
    """
    return _deviance_of(result, _evenly(_inside(result, result.held_out), result))


def sample_frames(result: Result) -> NDArray[np.int64]:
    """Return the indices of evenly spaced used frames for which the model of a result is recomputed."""
    return _evenly(account_for_frames(result)[USED], result)


def measure(frames: Iterable[ModelledFrame]) -> Deviance | None:
    """Return the deviance of some frames from their models; None if they have no counts.

    A saturated pixel whose model is above its counts is not compared, because its counts are a lower bound.
    """
    sums, number = np.zeros(5), 0
    for frame in frames:
        compared = frame.good & ~frame.exceeded
        counts, model = frame.counts[compared].astype(np.float64), np.maximum(frame.model[compared], 0)
        mean, variance = deviance_moments(model)
        sums += counts.size, counts.sum(), deviance(counts, model).sum(), mean.sum(), variance.sum()
        number += 1
    pixels, total, value, expected, squares = (float(each) for each in sums)
    if not (total > 0 and expected > 0):
        return None
    return Deviance(number, value / pixels, expected / pixels, squares**0.5 / pixels, total / pixels)


def times(ratio: float) -> str:
    """Return a ratio as text with two significant digits, without an exponent."""
    return f"{ratio:.2g}" if ratio < 99.5 else f"{ratio:,.0f}"


def _deviance_of(result: Result, frames: NDArray[np.int64]) -> Deviance | None:
    if isinstance(result.scan.patterns, MissingFrames) or not len(result.probe):
        return None
    return measure(modelled_frames(result, frames))


def _evenly(frames: NDArray[np.int64], result: Result) -> NDArray[np.int64]:
    """Return evenly spaced ones of some frames, as many as `PIXELS` and `FRAMES` allow."""
    number = int(np.clip(PIXELS // max(result.probe.size, 1), *FRAMES))
    return frames[np.unique(np.linspace(0, len(frames) - 1, number).astype(int))] if len(frames) else frames


def _inside(result: Result, frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return those of some frames whose probe is inside the covered area."""
    intensity = np.sum(np.abs(result.probe) ** 2, axis=0)
    (ny, nx), total = intensity.shape, float(intensity.sum())
    corners, _ = split(to_pixels(result.positions[frames], result.y, result.x), (ny, nx))
    shares = [float((intensity * result.mask[r : r + ny, c : c + nx]).sum()) for r, c in np.maximum(corners, 0)]
    return frames[np.array(shares) > INSIDE * total] if len(frames) else frames
