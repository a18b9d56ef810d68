"""Problems of the detector pixels: hot and dead pixels, a mask that hides good ones, and saturation."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import grey_closing

from exitwave.analysis.diagnosis.codes import Diagnosis, make_diagnosis
from exitwave.analysis.diagnosis.frame_sample import FrameSample
from exitwave.optics.probes import fill_bad_pixels

EXPECTED = 30.0
"""Counts in the whole sample that the neighbours of a pixel predict, above which a pixel without counts is dead."""
WIDEST = 7
"""Width below which a dark line is dead pixels; a wider one may be the shadow of a beamstop."""
SIMILAR = 0.3
"""Relative difference from the neighbours below which a masked pixel looks good."""
REPEATED = 8
"""Number of times that the highest count occurs, from which on it is the end of the scale."""
HIGH = 250.0
"""Smallest count that can be the end of the scale."""


def diagnose_pixels(sample: FrameSample) -> Iterator[Diagnosis]:
    """Yield the problems of the detector pixels and of their mask."""
    hot = int(sample.hot.sum())
    if hot:
        brightest = float(sample.mean[sample.hot].max())
        evidence = f"{_pixels(hot)} always far brighter than the neighbours, with up to {brightest:.3g} counts."
        yield make_diagnosis("D414", hot, evidence)
    expected = _interpolated(np.where(sample.clean, sample.mean, 0)) * len(sample.frames)
    dead = int(np.count_nonzero(sample.clean & (sample.mean == 0) & (expected > EXPECTED)))
    if dead:
        evidence = (
            f"{_pixels(dead)} without counts in {len(sample.frames)} frames, although the neighbours have counts."
        )
        yield make_diagnosis("D415", dead, evidence)
    yield from _hidden(sample, expected)
    yield from _saturation(sample)


def _interpolated(mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the expected counts of dark pixels, single or in a line, between brighter pixels on both sides."""
    return np.asarray(np.maximum(grey_closing(mean, (1, WIDEST)), grey_closing(mean, (WIDEST, 1))))


def _pixels(count: int) -> str:
    return "1 pixel is" if count == 1 else f"{count} pixels are"


def _hidden(sample: FrameSample, expected: NDArray[np.float64]) -> Iterator[Diagnosis]:
    """Find masked pixels whose counts are similar to those of their neighbours."""
    hidden = ~sample.good & (expected > EXPECTED)
    if not hidden.any() or sample.clean.sum() < sample.clean.size / 2:
        return
    around = fill_bad_pixels(sample.mean, sample.clean)
    similar = hidden & (np.abs(sample.mean - around) < SIMILAR * around)
    if similar.sum() > max(4, hidden.sum() / 2):
        count = int(similar.sum())
        evidence = (
            f"{count} of {int((~sample.good).sum())} masked pixels have counts similar to those of the neighbours."
        )
        yield make_diagnosis("D417", count, evidence)


def _saturation(sample: FrameSample) -> Iterator[Diagnosis]:
    """Find counts at the end of the scale, which is the known limit or a highest count that occurs often."""
    limit = sample.scan.detector.saturation
    clean = np.where(sample.clean, sample.patterns, 0)
    limit, highest = np.inf if limit is None else limit, float(clean.max())
    if HIGH < highest < limit and np.count_nonzero(clean == highest) >= REPEATED:
        limit = highest
    full = clean >= limit
    frames = int(full.any(axis=(1, 2)).sum())
    if frames:
        count = full.sum() / frames
        share = full.sum() * limit / max(clean.sum(dtype=np.float64), 1)
        evidence = (
            f"{frames} of {len(sample.frames)} frames have saturated pixels, {count:.3g} on average, at {limit:g} "
            f"counts: {share:.1%} of all counts or more."
        )
        yield make_diagnosis("D410", count, evidence, "info" if share < 1e-3 else None)
