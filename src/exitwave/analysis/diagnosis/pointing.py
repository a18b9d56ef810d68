"""A pattern centre that moves during the scan: drift and jumps of the direction of the beam."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter

from exitwave.analysis.diagnosis.codes import Diagnosis, make_diagnosis
from exitwave.analysis.diagnosis.frame_sample import FrameSample

FEWEST = 32
"""Smallest number of frames for which moves are searched."""
SMOOTHED = 1.0
"""Standard deviation in detector pixels by which the mean pattern is smoothed before its gradient is taken."""
WAVES = 4
"""Number of half waves over the scan in which a slow drift is expanded."""
KEPT = 0.2
"""Smallest part of a curve over time (norm) that differs from a linear function of the positions."""
MARGIN = 0.05
"""Smallest share of the frames before, and after, a jump."""

# Measured on 80 simulated scans (four specimens, four scan patterns, 3e4 to 3e8 photons a frame, some with errors of
# the positions) and one measured one: without a fault, jumps of up to 0.41 pixels with 7.0 standard errors, and slow
# moves of up to 0.44 pixels with 5.0. All jumps of 0.8 to 4.5 pixels and all waves of 1.1 to 4.5 pixels were found.
LEAST, JUMPS, DRIFTS = 0.5, 8.0, 6.0
"""Smallest move in detector pixels, and its smallest ratio to the standard error, of a jump and of a slow drift."""
ALONG = 1.2
"""Smallest slow drift in detector pixels that is reported although it is a linear function of the positions. In a
raster, the sample can also cause it: a curved phase shifts the patterns in proportion to the position."""


class Move(NamedTuple):
    """A move of the pattern centre during the scan."""

    length: float
    """Distance in detector pixels; of a slow drift, that between its extremes."""
    sigmas: float
    """Ratio to the standard error (rms of the curves)."""
    explained: float
    """Squared shifts that it explains."""
    start: int | None
    """Index of the first frame after a jump, in the sample; None: a slow drift."""


def diagnose_pointing(sample: FrameSample, with_beam: NDArray[np.bool_], *, refined: bool) -> Iterator[Diagnosis]:
    """Yield the move of the pattern centre, if there is one.

    Parameters
    ----------
    sample : FrameSample
        The frames of a scan in the far field.
    with_beam : ndarray of bool, shape (n,)
        Frames of the sample that have enough counts.
    refined : bool
        Whether the model has the pointing of every frame, which accounts for the moves.
    """
    frames = np.flatnonzero(with_beam)
    if len(frames) < FEWEST:
        return
    move = largest_move(
        pattern_shifts(sample, frames), sample.time[frames], sample.scan.positions[sample.frames[frames], :2]
    )
    if move is None:
        return
    if move.start is None:
        evidence = f"The patterns drift by {move.length:.2g} detector pixels during the scan."
    else:
        start = int(sample.frames[frames[move.start]])
        place = f"at frame {start}" if sample.whole else f"near frame {start}"
        evidence = f"The patterns jump by {move.length:.2g} detector pixels {place}."
    diagnosis = make_diagnosis("D421", move.length, evidence, "info" if refined else None)
    accounted = replace(diagnosis, consequence="The model accounts for it.", remedy="No action is needed.")
    yield accounted if refined else diagnosis


def largest_move(shifts: NDArray[np.float64], time: NDArray[np.float64], positions: NDArray[np.float64]) -> Move | None:
    """Return the jump or slow drift that explains most of the shifts of the patterns; None if none is significant.

    Parameters
    ----------
    shifts : ndarray of shape (n, 2)
        Shifts of the patterns in detector pixels.
    time : ndarray of shape (n,)
        Relative times of the frames, ascending, from -1/2 to 1/2.
    positions : ndarray of shape (n, 2)
        Positions in metres. A linear dependence on them does not count as a move, unless it is longer than `ALONG`.
    """
    plane = (positions - positions.mean(axis=0)) / max(float(np.ptp(positions, axis=0).max()), 1e-300)
    constant = np.ones((len(time), 1))
    along = _drift(shifts, time, constant)
    others = np.column_stack([constant, plane])
    moves = [
        move
        for move, least, sigmas in (
            (_jump(shifts, others), LEAST, JUMPS),
            (_drift(shifts, time, others), LEAST, DRIFTS),
            (along, ALONG, DRIFTS),
        )
        if move is not None and move.length > least and move.sigmas > sigmas
    ]
    return max(moves, key=lambda move: move.explained, default=None)


def _drift(shifts: NDArray[np.float64], time: NDArray[np.float64], others: NDArray[np.float64]) -> Move | None:
    """Fit half waves over time to the shifts, beside other quantities."""
    waves = np.cos(np.pi * np.outer(time + 0.5, np.arange(1, WAVES + 1)))
    free = _apart(waves, others)
    kept = np.linalg.norm(free, axis=0) > KEPT * np.linalg.norm(waves, axis=0)
    if not kept.any():
        return None
    rest = _apart(shifts, others)
    weights = np.linalg.lstsq(free[:, kept], rest, rcond=None)[0]
    fitted = free[:, kept] @ weights
    explained, number = float((fitted**2).sum()), int(kept.sum())
    variance = float(((rest - fitted) ** 2).sum()) / (2 * (len(time) - others.shape[1] - number))
    length = float(np.hypot(*np.ptp(waves[:, kept] @ weights, axis=0)))
    return Move(length, float(np.sqrt(explained / (2 * number) / max(variance, 1e-12))), explained, None)


def _jump(shifts: NDArray[np.float64], others: NDArray[np.float64]) -> Move | None:
    """Fit a step at every frame to the shifts, beside other quantities, and return the most significant one."""
    number = len(shifts)
    margin = max(4, int(MARGIN * number))
    starts = np.arange(margin, number - margin)
    steps = _apart((np.arange(number)[:, None] >= starts).astype(np.float64), others)
    rest = _apart(shifts, others)
    spread = (steps**2).sum(axis=0)
    heights = (steps.T @ rest) / np.maximum(spread, 1e-12)[:, None]
    explained = spread * (heights**2).sum(axis=1) * (spread > KEPT**2 * number / 4)
    best = int(explained.argmax())
    variance = (float((rest**2).sum()) - explained[best]) / (2 * (number - others.shape[1] - 1))
    sigmas = float(np.sqrt(explained[best] / 2 / max(variance, 1e-12)))
    return Move(float(np.hypot(*heights[best])), sigmas, float(explained[best]), int(starts[best]))


def _apart(values: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the part of values, shape (n, m), that is no linear combination of the columns of ``others``."""
    left, size, _ = np.linalg.svd(others / np.linalg.norm(others, axis=0), full_matrices=False)
    basis = left[:, size > 1e-6 * size[0]]
    return np.asarray(values - basis @ (basis.T @ values))


def pattern_shifts(sample: FrameSample, frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how far the patterns are shifted from the mean pattern, shape (n, 2), rows and columns, in pixels.

    The shift s_j minimises sum (I_j - m + s_j . grad m)^2 / m over the pixels of the mean pattern m. The edges of the
    direct beam determine it. The centre of mass varies six times as much with the sample.

    Parameters
    ----------
    sample : FrameSample
        The frames.
    frames : ndarray of int
        Indices into the sample.
    """
    clean, mean = sample.clean, np.zeros(sample.clean.shape)
    shares = [(sample.patterns[j] - sample.dark) / sample.totals[j] for j in frames]
    for share in shares:
        mean += share / len(shares)
    coverage = gaussian_filter(clean.astype(np.float64), SMOOTHED)
    smooth = gaussian_filter(np.where(clean, mean, 0), SMOOTHED) / np.maximum(coverage, 1e-3)
    inner = binary_erosion(clean, iterations=2, border_value=1)
    slopes = np.stack(np.gradient(smooth))[:, inner]
    weighted = slopes / np.maximum(smooth, 1e-3 * smooth.max())[inner]
    apart = np.array([weighted @ (share - mean)[inner] for share in shares])
    return np.asarray(-apart @ np.linalg.pinv(weighted @ slopes.T).T)
