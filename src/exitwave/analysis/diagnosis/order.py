"""Frames and positions that are out of step from some frame on: a trigger was lost or doubled.

Two frames are the more similar, the closer their positions are. For the hypothesis that from frame N on, frame j
belongs to position j + K, every pair of frames has the log-likelihood ratio

    ((C - p0)^2 - (C - pK)^2) / (2 sigma^2),

where C is the similarity of the frames, sigma its spread, and p0 and pK are the similarities that the distance of
their positions predicts without and with the shift. Its sum over all pairs is large for the right K and N.

The similarity compares the moduli of the Fourier transforms of the patterns, the autocorrelations of the exit waves. In
them, a detail of the sample at u appears as |P(u)| |P(u + r)|, which varies as slowly with u as the probe P. The
patterns themselves have fringes, which change with much smaller moves.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, linalg
from scipy.spatial import cKDTree

from exitwave.analysis.diagnosis.codes import Diagnosis, make_diagnosis
from exitwave.analysis.diagnosis.frame_sample import FrameSample
from exitwave.analysis.error import modelled_frames
from exitwave.cxi.frame_settings import SHIFT, Shift, shifts_of
from exitwave.frames import valid_counts
from exitwave.positions import neighbour_distance
from exitwave.scan import Result, Scan

SHIFTS = (-2, -1, 1, 2)
"""Shifts K that are tested."""
FEWEST, MOST = 40, 800
"""Smallest and largest number of frames that are compared."""
PIXELS = 2**26
"""Largest number of detector pixels that are read for it."""
NEAREST = 4
"""Number of frames near each place that are compared in a large scan."""
MARGIN = 8
"""Smallest number of compared frames before, and after, the first shifted frame."""
SIDE = 64
"""Largest number of rows and columns of the autocorrelations that are compared."""
WHITENED = 0.75
"""Exponent by which the strong components of the autocorrelations are reduced: 0 not at all, 1 to unity. With 0.75 and
with 0.5, 52 and 53 of 60 shifts were the best hypothesis; the best hypothesis in 60 scans without a shift had at most
2.7 and 3.8 standard errors."""
WITH_BEAM = 0.05
"""Smallest share of the usual counts of a frame that is compared."""
REACH, BINS = 8.0, 16
"""Largest distance in steps, and number of bins, of the curve of similarity over distance."""
WIDTHS = np.geomspace(0.5, 3, 12)
"""Widths of this curve in steps that are tried."""


# Measured on 90 simulated scans (four specimens, four scan patterns, 3e4 to 3e8 photons a frame): at most 3.6 standard
# errors, 4.1 in the same scans with wrong positions (errors of 3 and 8 pixels, a drift, a backlash; 360 scans). With a
# shift from a random frame on, the right one was the best in 75 of 90, with more than 4.2 standard errors in 54. With
# the results of 40 such scans, frames and model together found it in 36; in results of 40 clean scans both together had
# at most 1.8.
SURE = 6.0
"""Smallest ratio of the evidence to its standard error where only the frames are compared. One of 64 further clean
scans had 5.9, near its last frames."""
TOGETHER, FRAMES_AT_LEAST, MODEL_AT_LEAST = 2.8, 0.5, 1.0
"""Smallest root of the summed squares of this ratio and of that of the model, and smallest values of each."""
MODELLED = 2**22
"""Detector pixels times probe modes for which the model is computed four times."""


class Evidence(NamedTuple):
    """Evidence for every shift in `SHIFTS` (rows) from every compared frame on (columns)."""

    gain: NDArray[np.float64]
    """Log-likelihood ratio, shape (4, n); minus infinity near the first and the last frame."""
    sigmas: NDArray[np.float64]
    """Ratio to its standard error, shape (4, n)."""


def diagnose_order(
    sample: FrameSample, repeated: NDArray[np.int64], result: Result | None = None
) -> Iterator[Diagnosis]:
    """Yield the shift of the frames along the positions, if there is one.

    Parameters
    ----------
    sample : FrameSample
        Frames of a scan in the far field.
    repeated : ndarray of int
        Frames that are not compared, because they are repetitions of others.
    result : Result, optional
        A result whose model does not explain the frames. Then the model is also computed at shifted positions.
    """
    shift = find_shift(sample, repeated, result)
    if shift is None:
        return
    count, direction = abs(shift.by), "later" if shift.by > 0 else "earlier"
    place = "one position" if count == 1 else f"{count} positions"
    evidence = f"From frame {shift.start} on, the frames fit to their neighbours {place} {direction}."
    text = ",".join(map(str, (*shifts_of(sample.scan), shift)))
    remedy = f"Reconstruct the scan with --set {SHIFT}={text} to repair it."
    yield replace(make_diagnosis("D419", shift.start, evidence), remedy=remedy)


def find_shift(sample: FrameSample, repeated: NDArray[np.int64], result: Result | None = None) -> Shift | None:
    """Return the most likely shift of the frames along the positions; None if none is significant.

    Of a large scan, groups of near frames are compared first, and then the consecutive frames around the first shifted
    one.
    """
    scan = sample.scan
    free = np.setdiff1d(scan.used_frames, repeated)
    number = int(np.clip(PIXELS // np.prod(scan.patterns.shape[1:]), FEWEST, MOST))
    frames = free if len(free) <= number else _groups(scan, free, number)
    compared, evidence = compare_frames(sample, frames)
    shift = None if evidence is None else _most_likely(compared, evidence, result)
    if shift is None or len(frames) == len(free):
        return shift
    place = int(np.searchsorted(compared, shift.start))
    low, high = int(compared[place - 1]), int(compared[place])
    begin = int(np.clip(np.searchsorted(free, high) - number // 2, 0, len(free) - number))
    compared, evidence = compare_frames(sample, free[begin : begin + number])
    if evidence is None:
        return shift
    gain = np.where((compared > low) & (compared <= high), evidence.gain[SHIFTS.index(shift.by)], -np.inf)
    return Shift(shift.by, int(compared[gain.argmax()])) if np.isfinite(gain).any() else shift


def _most_likely(frames: NDArray[np.int64], evidence: Evidence, result: Result | None) -> Shift | None:
    """Return the shift with the largest log-likelihood ratio, or the one that the model of a result confirms."""
    best = np.unravel_index(int(evidence.gain.argmax()), evidence.gain.shape)
    significant = evidence.sigmas[best] > SURE
    if not significant and result is not None:
        model = _model_evidence(result, frames)
        both = np.where(evidence.sigmas > FRAMES_AT_LEAST, np.hypot(np.maximum(evidence.sigmas, 0), model), 0)
        both[model < MODEL_AT_LEAST] = 0
        best = np.unravel_index(int(both.argmax()), both.shape)
        significant = both[best] > TOGETHER
    return Shift(SHIFTS[int(best[0])], int(frames[best[1]])) if significant else None


def _model_evidence(result: Result, frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how much better the model fits to shifted frames, in standard errors, shape (4, n); see `Evidence`.

    The frames from N on are compared with the model at the positions j + K and j - K, those before at j - K and j + K:
    the majority of the frames determines the object, and the others are shifted against it. The model at the position
    j itself cannot be compared, because the frame has contributed to it.
    """
    number = int(np.clip(MODELLED // result.probe.size, FEWEST, len(frames)))
    columns = np.unique(np.linspace(0, len(frames) - 1, number).astype(int))
    errors = {by: _errors_at(result, frames[columns], by) for by in SHIFTS}
    evidence = np.zeros((len(SHIFTS), len(frames)))
    for row, by in enumerate(SHIFTS):
        ratio = np.log(errors[-by] / errors[by])
        known = np.isfinite(ratio)
        ratio = np.where(known, ratio, 0)
        before = np.concatenate([[0], np.cumsum(ratio)])[np.searchsorted(columns, np.arange(len(frames)))]
        mean = (ratio.sum() - 2 * before) / known.sum()
        variance = (ratio**2).sum() / known.sum() - mean**2
        evidence[row] = mean / np.sqrt(np.maximum(variance, 1e-12) / known.sum())
    return evidence


def _errors_at(result: Result, frames: NDArray[np.int64], by: int) -> NDArray[np.float64]:
    """Return the error metric of frames with the model at the positions of frames j + by; NaN where there is none."""
    number, used = len(result.positions), result.positions
    moved = result.scan.positions[np.clip(np.arange(number) + by, 0, number - 1)]
    moved = np.clip(moved, used.min(axis=0), used.max(axis=0))
    errors = np.full(len(frames), np.nan)
    inside = np.flatnonzero((frames + by >= 0) & (frames + by < number))
    models = modelled_frames(replace(result, positions=moved), frames[inside])
    for index, frame in zip(inside, models, strict=True):
        roots = np.sqrt(np.maximum(frame.counts, 0)) - np.sqrt(frame.model)
        errors[index] = (roots[frame.good] ** 2).sum() / max(float(frame.counts[frame.good].sum()), 1e-12)
    return errors


def _groups(scan: Scan, frames: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Return evenly spaced frames, and those that are near to them with every shift, together about a number."""
    places = (0, *SHIFTS)
    centres = frames[np.unique(np.linspace(0, len(frames) - 1, number // (len(places) * NEAREST)).astype(int))]
    shifted = np.clip(centres[:, None] + np.array(places), 0, len(scan.positions) - 1).ravel()
    near = cKDTree(scan.positions[frames, :2]).query(scan.positions[shifted, :2], k=NEAREST)[1]
    return np.union1d(centres, frames[near])


def compare_frames(sample: FrameSample, frames: NDArray[np.int64]) -> tuple[NDArray[np.int64], Evidence | None]:
    """Return the frames that have beam, and the evidence for shifts of these frames; None if there are too few."""
    if len(frames) < FEWEST:
        return frames, None
    autocorrelations, bright = _autocorrelations(sample, frames)
    frames = frames[bright]
    if len(frames) < FEWEST:
        return frames, None
    return frames, shift_evidence(_similarity(autocorrelations), frames, sample.scan.positions)


def _autocorrelations(sample: FrameSample, frames: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the square roots of the moduli of the autocorrelations, shape (n, m), and which frames have beam."""
    roots = np.zeros((len(frames), *sample.clean.shape), np.float32)
    known = np.searchsorted(sample.frames, frames)
    if sample.whole:
        patterns: Iterator[NDArray[np.float32]] = iter(sample.patterns[known])
    else:
        patterns = sample.scan.patterns.pick(frames)
    for index, counts in enumerate(patterns):
        roots[index] = np.where(sample.clean & valid_counts(counts), np.maximum(counts - sample.dark, 0), 0)
    totals = roots.sum(axis=(1, 2), dtype=np.float64)
    usual = float(np.median(totals))
    bright = totals > WITH_BEAM * usual
    roots, totals = roots[bright], totals[bright]
    roots = np.sqrt(roots * (usual / totals)[:, None, None] + 0.375) * sample.clean
    roots -= roots.mean(axis=0)
    moduli = np.abs(fft.rfft2(roots, workers=1))[:, :, :-1]
    rows, columns = (max(1, n // m) for n, m in zip(moduli.shape[1:], (SIDE, SIDE // 2), strict=True))
    moduli = moduli[:, : moduli.shape[1] // rows * rows, : moduli.shape[2] // columns * columns]
    moduli = moduli.reshape(len(moduli), -1, rows, moduli.shape[2] // columns, columns).mean(axis=(2, 4))
    return np.sqrt(moduli, dtype=np.float64).reshape(len(moduli), -1), bright


def _similarity(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation of every pair of frames, whose strong common components are reduced, shape (n, n)."""
    features = features - features.mean(axis=0)
    power, components = linalg.eigh(features @ features.T)
    kept = power > 1e-9 * power[-1]
    features = components[:, kept] * np.sqrt(power[kept]) ** (1 - WHITENED)
    features /= np.maximum(np.linalg.norm(features, axis=1), 1e-12)[:, None]
    return np.asarray(features @ features.T)


def shift_evidence(
    similarity: NDArray[np.float64], frames: NDArray[np.int64], positions: NDArray[np.float64]
) -> Evidence | None:
    """Return the evidence for shifts; see the equation of this module.

    Parameters
    ----------
    similarity : ndarray of shape (n, n)
        Similarity of the frames.
    frames : ndarray of int, shape (n,)
        Their sorted indices.
    positions : ndarray of shape (npos, 3)
        Positions of all frames in metres.

    Returns
    -------
    Evidence or None
        None if near frames are not more similar than distant ones.
    """
    places, number = positions[frames, :2], len(frames)
    step, apart = neighbour_distance(places), _distances(places, places)
    pairs = ~np.eye(number, dtype=bool)
    curve = _curve(similarity[pairs], apart[pairs] / step)
    if curve is None:
        return None
    height, width, distant = curve
    spread = float(similarity[pairs].std())
    contrast = similarity - distant
    here = height * np.exp(-((apart / step / width) ** 2) / 2)
    gain, variance = np.full((2, len(SHIFTS), number), -np.inf)
    cuts = slice(MARGIN, number - MARGIN + 1)
    for row, by in enumerate(SHIFTS):
        inside = (frames + by >= 0) & (frames + by < len(positions))
        moved = positions[np.clip(frames + by, 0, len(positions) - 1), :2]
        sums = np.zeros((2, number))
        for one, pair in ((places, inside[None] & pairs), (moved, np.outer(inside, inside) & pairs)):
            there = height * np.exp(-((_distances(one, moved) / step / width) ** 2) / 2)
            change = np.where(pair, there - here, 0)
            terms = (change * (2 * contrast - there - here), change**2)
            sums += [_before_and_after(each) if one is places else _after(each) / 2 for each in terms]
        gain[row, cuts], variance[row, cuts] = sums[:, cuts] / (2 * spread**2)
    return Evidence(gain, gain / np.sqrt(np.maximum(2 * variance, 1e-12)))


def _distances(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distances of two sets of positions, shapes (n, 2) and (m, 2), as (n, m)."""
    return np.asarray(np.hypot(*(one[:, None] - other[None]).transpose(2, 0, 1)))


def _curve(similarity: NDArray[np.float64], apart: NDArray[np.float64]) -> tuple[float, float, float] | None:
    """Fit a Gaussian to the similarity of pairs over their distance in steps; return height, width and offset."""
    far = apart > REACH * 5 / 8
    distant = float(similarity[far].mean() if far.any() else similarity.mean())
    bins = np.minimum((apart * BINS / REACH).astype(np.int64), BINS)
    count = np.bincount(bins, minlength=BINS + 1)[:BINS].astype(np.float64)
    sums = np.bincount(bins, similarity - distant, minlength=BINS + 1)[:BINS]
    centres = (np.arange(BINS) + 0.5) * REACH / BINS
    shapes = np.exp(-((centres / WIDTHS[:, None]) ** 2) / 2)
    heights = (shapes * sums).sum(axis=1) / (shapes**2 * count).sum(axis=1)
    left = (count * (sums / np.maximum(count, 1) - heights[:, None] * shapes) ** 2).sum(axis=1)
    best = int(left.argmin())
    return (float(heights[best]), float(WIDTHS[best]), distant) if heights[best] > 0 else None


def _before_and_after(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum over rows before and columns from each index on, shape (n,)."""
    rows = np.cumsum(terms, axis=0) - terms  # rows before each index
    from_end = np.cumsum(rows[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(np.diag(from_end))


def _after(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum over rows and columns from each index on, shape (n,)."""
    corner = np.cumsum(np.cumsum(terms[::-1, ::-1], axis=0), axis=1)[::-1, ::-1]
    return np.asarray(np.diag(corner))
