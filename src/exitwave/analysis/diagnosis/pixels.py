"""What the detector's pixels say: hot and dead ones, a mask that hides good ones, saturation."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import grey_closing

from exitwave.analysis.diagnosis.codes import Diagnosis, found
from exitwave.analysis.diagnosis.sample import Sample
from exitwave.optics.probes import fill

EXPECTED = 30.0
"""Counts, in all frames looked at, that a pixel would have from its neighbours if it were not dead."""
WIDEST = 7
"""A dead line is narrower than this; what is wider may be the shadow of a beamstop."""
LIKE = 0.3
"""A hidden pixel looks good if its counts are those of its neighbours to this part."""
REPEATED = 8
"""Times that the highest count of all occurs, from which on it is the end of the scale."""
HIGH = 250.0
"""Least count that can be the end of a scale."""


def diagnose_pixels(sample: Sample) -> Iterator[Diagnosis]:
    """Yield what is wrong with the pixels of the detector and with their mask."""
    hot = int(sample.hot.sum())
    if hot:
        brightest = float(sample.mean[sample.hot].max())
        yield found(
            "D414", hot, f"{_pixels(hot)} always far brighter than around them, with up to {brightest:.3g} counts."
        )
    expected = _between(np.where(sample.clean, sample.mean, 0)) * len(sample.frames)
    dead = int(np.count_nonzero(sample.clean & (sample.mean == 0) & (expected > EXPECTED)))
    if dead:
        yield found(
            "D415", dead, f"{_pixels(dead)} without a count in {len(sample.frames)} frames, amid others that count."
        )
    yield from _hidden(sample, expected)
    yield from _saturation(sample)


def _between(mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what pixels would count that are dark, alone or in a line, between brighter ones on both sides."""
    return np.asarray(np.maximum(grey_closing(mean, (1, WIDEST)), grey_closing(mean, (WIDEST, 1))))


def _pixels(count: int) -> str:
    return "1 pixel is" if count == 1 else f"{count} pixels are"


def _hidden(sample: Sample, expected: NDArray[np.float64]) -> Iterator[Diagnosis]:
    """Look for counts behind the mask that are like those around it."""
    hidden = ~sample.good & (expected > EXPECTED)
    if not hidden.any() or sample.clean.sum() < sample.clean.size / 2:
        return
    around = fill(sample.mean, sample.clean)
    alike = hidden & (np.abs(sample.mean - around) < LIKE * around)
    if alike.sum() > max(4, hidden.sum() / 2):
        count = int(alike.sum())
        yield found(
            "D417", count, f"{count} of {int((~sample.good).sum())} masked pixels count as their neighbours do."
        )


def _saturation(sample: Sample) -> Iterator[Diagnosis]:
    """Look for counts at the end of the scale: a known one, or a highest count that occurs again and again."""
    limit = sample.scan.detector.saturation
    clean = np.where(sample.clean, sample.stack, 0)
    if limit is None:
        highest = clean.max()
        end = highest > HIGH and np.count_nonzero(clean == highest) >= REPEATED
        limit = float(highest) if end else np.inf
    full = clean >= limit
    frames = int(full.any(axis=(1, 2)).sum())
    if frames:
        count = full.sum() / frames
        share = full.sum() * limit / max(clean.sum(dtype=np.float64), 1)
        words = f"In {frames} of {len(sample.frames)} frames, {count:.3g} pixels each are at {limit:g} counts"
        yield found("D410", count, f"{words}: {share:.1%} of all counts or more.", "info" if share < 1e-3 else None)
