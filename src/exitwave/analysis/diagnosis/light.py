"""What the counts of the frames say: dose, beam loss, drift, background, and whether pixels resolve the speckles."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from exitwave.analysis.diagnosis.codes import Diagnosis, found
from exitwave.analysis.diagnosis.sample import TRANSFORMED, Sample
from exitwave.errors import Level

PHOTONS = 25.0
"""Photons on an object pixel below which the noise of its phase, 1 / (2 sqrt(N)), exceeds 0.1 rad."""
LOST = 0.25
"""Counts of a frame without beam, relative to those of a bright one (the 90th percentile)."""
FADED = 0.2
"""Change of the counts from the first to the last frame that is a drift."""
WANDERED = 0.25
"""Change of the pattern's centre, relative to the rms radius of the beam on the detector, that is a drift."""
SURE = 8.0
"""A trend must exceed its standard error by this; neighbouring frames are not independent."""
BACKGROUND = 0.02
"""Share of the counts that is too much background."""
WRAPPED = 0.003
"""Autocorrelation of the exit waves at the edges of their field, relative to its middle, that is too much."""


def diagnose_light(sample: Sample, covered: float | None) -> Iterator[Diagnosis]:
    """Yield what is wrong with the counts; ``covered`` is the number of object pixels that the beam has seen."""
    bright = float(np.quantile(sample.totals, 0.9))
    lit = sample.totals > LOST * bright
    if not bright > 0:
        yield found("D401", 0, "There is no photon in the frames.", "error")
        return
    yield from _dose(sample, lit, covered)
    yield from _loss(sample, lit)
    yield from _drift(sample, lit)
    if not sample.scan.near:
        yield from _background(sample)
        yield from _window(sample)


def _dose(sample: Sample, lit: NDArray[np.bool_], covered: float | None) -> Iterator[Diagnosis]:
    if not covered:
        return
    dose = float(sample.totals[lit].mean()) * sample.of / covered
    if dose < PHOTONS:
        worse: Level | None = "error" if dose < PHOTONS / 25 else None
        phase = 0.5 / np.sqrt(max(dose, 1e-9))
        words = f"{dose:.3g} photons an object pixel: its phase cannot be known to better than {phase:.2g} rad."
        yield found("D401", dose, words, worse)


def _loss(sample: Sample, lit: NDArray[np.bool_]) -> Iterator[Diagnosis]:
    lost = sample.frames[~lit]
    if len(lost):
        some = ", ".join(map(str, lost[:5])) + (", ..." if len(lost) > 5 else "")
        looked = "" if sample.whole else f" of {len(sample.frames)} looked at"
        yield found(
            "D407", len(lost), f"{len(lost)} frames{looked} have less than {LOST:.0%} of the usual counts: {some}."
        )


def _drift(sample: Sample, lit: NDArray[np.bool_]) -> Iterator[Diagnosis]:
    """Look for a steady change of the intensity, and of the direction of the beam."""
    time, totals = sample.time[lit], sample.totals[lit]
    if len(time) < 16:
        return
    places = sample.scan.positions[sample.frames[lit], :2]  # a sample that is darker at one side is no drift
    change, sure = trend(time, totals / totals.mean(), places)
    if abs(change) > FADED and sure > SURE:
        yield found("D406", change, f"The counts of a frame change by {change:+.0%} from the first to the last.")
        return
    if sample.scan.near:
        return
    centres, radius = _centres(sample, lit)
    moved, sure = np.array([trend(time, centre) for centre in centres.T]).T
    size = float(np.hypot(*moved))
    if size > WANDERED * radius and sure.max() > SURE:
        yield found("D406", size, f"The middle of the patterns moves by {size:.3g} detector pixels during the scan.")


def _centres(sample: Sample, lit: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Return the centre of mass of the patterns in pixels, shape (n, 2), and the rms radius of the mean one."""
    mean = np.where(sample.clean, np.maximum(sample.mean - sample.dark, 0), 0)
    rows, columns = np.indices(mean.shape, dtype=np.float64)
    weight = mean / mean.sum()
    y, x = float((weight * rows).sum()), float((weight * columns).sum())
    radius = float(np.sqrt((weight * ((rows - y) ** 2 + (columns - x) ** 2)).sum()))
    offsets = np.stack([(rows - y) * sample.clean, (columns - x) * sample.clean])
    moments = [np.tensordot(offsets, sample.stack[j] - sample.dark, 2) for j in np.flatnonzero(lit)]
    return np.array(moments) / sample.totals[lit, None], radius


def trend(
    time: NDArray[np.float64], values: NDArray[np.float64], others: NDArray[np.float64] | None = None
) -> tuple[float, float]:
    """Return the change of values over one unit of time on a straight line, and it over its standard error.

    Of what goes with ``others``, shape (n, m), nothing counts: where time goes with them, the error is large.
    """
    others = np.zeros((len(time), 0)) if others is None else others
    columns = np.column_stack([np.ones(len(time)), others])
    size = np.linalg.norm(columns, axis=0)
    basis = np.linalg.qr(columns / np.where(size > 0, size, 1))[0]
    t, rest = (each - basis @ (basis.T @ each) for each in (time, values))
    spread = max(float((t**2).sum()), 1e-12)
    slope = float((t * rest).sum()) / spread
    error = np.sqrt(((rest - slope * t) ** 2).sum() / max(len(t) - 2 - others.shape[1], 1) / spread)
    return slope, abs(slope) / max(float(error), 1e-12)


def _background(sample: Sample) -> Iterator[Diagnosis]:
    """Look for counts that do not vary from frame to frame as speckles do, where the patterns are faintest.

    The variance of a pixel over frames is m + c^2 s^2, of m = s + b counts on average, s of them in speckles of
    contrast c. It is 1 in coherent light with several pixels a speckle; where it is less, b is a guess from above.
    """
    variance = np.zeros(sample.mean.shape)
    for frame in sample.stack:
        variance += (frame - sample.mean) ** 2 / max(len(sample.stack) - 1, 1)
    known = sample.clean & (sample.mean > 0)
    faint = known & (sample.mean <= np.quantile(sample.mean[sample.clean], 0.25))
    if not faint.any() or len(sample.stack) < 16:
        return
    beam = float((sample.mean - sample.dark)[faint].mean())
    speckles = np.sqrt(max(float((variance - sample.mean)[faint].mean()), 0))
    level = beam - speckles
    share = level * sample.clean.sum() / max(float((sample.mean - sample.dark)[sample.clean].sum()), 1e-9)
    if share > BACKGROUND and level > 0.5 * beam:
        yield found("D416", level, f"About {level:.2g} counts a pixel and frame are there always, {share:.0%} of all.")


def _window(sample: Sample) -> Iterator[Diagnosis]:
    """Look whether exit waves reach around the edges of their field, of which a beam should fill less than half."""
    seen = sample.autocorrelation
    rows, columns = (n // 2 for n in seen.shape)
    middle = seen[rows - 4 : rows + 5, columns - 4 : columns + 5].mean()
    edge = np.concatenate([seen[:2].ravel(), seen[:, :2].ravel()]).mean()
    noise = sample.floor / np.sqrt(min(len(sample.frames), TRANSFORMED) * sum(seen.shape))
    if edge > WRAPPED * middle and edge > SURE * noise:
        worse: Level | None = "error" if edge > 10 * WRAPPED * middle else None
        words = "The autocorrelation of the exit waves should vanish at half the field of the probe; there it still has"
        yield found("D413", edge / middle, f"{words} {edge / middle:.1%} of its middle.", worse)
