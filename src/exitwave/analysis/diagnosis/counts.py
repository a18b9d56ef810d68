"""Problems in the counts of the frames: dose, beam loss, drifts, background and speckle size."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from exitwave.analysis.diagnosis.codes import Diagnosis, make_diagnosis
from exitwave.analysis.diagnosis.frame_sample import TRANSFORMED, FrameSample
from exitwave.analysis.diagnosis.pointing import diagnose_pointing
from exitwave.errors import Level

PHOTONS = 25.0
"""Photons per object pixel below which the phase noise, 1 / (2 sqrt(N)), exceeds 0.1 rad."""
LOST = 0.25
"""Counts below which a frame has no beam, relative to a bright frame (the 90th percentile)."""
FADED = 0.2
"""Relative change of the counts from the first to the last frame above which the beam drifts."""
WANDERED = 0.25
"""Move of the pattern's centre of mass above which the beam drifts, relative to the rms radius of the pattern."""
INSIDE = 4.0
"""Ratio of the moves of the centre of mass and of the edges from which on the intensity changes inside the beam. Where
the beam moved across the lens it was more than 25, where the patterns moved at most 2.5."""
STEADY = 16
"""Smallest number of frames in which drifts are searched."""
SIGMAS = 8.0
"""Smallest ratio of a trend to its standard error; neighbouring frames are not independent."""
BACKGROUND = 0.02
"""Share of background in the counts above which it is a problem."""
NOISY_BACKGROUND = 0.05
"""Share of a background in the counts above which its noise is reported although the model has the background."""
NOISE_REMAINS = "The model accounts for it, but its noise remains in the image."
WRAPPED = 0.003
"""Autocorrelation of the exit waves at the array edges, relative to the centre, above which it is a problem."""


def diagnose_counts(sample: FrameSample, covered: float | None, *, pointing: bool = False) -> Iterator[Diagnosis]:
    """Yield the problems in the counts.

    Parameters
    ----------
    sample : FrameSample
        The frames.
    covered : float or None
        Number of covered object pixels; None if unknown.
    pointing : bool
        Whether the model has the pointing of every frame.
    """
    bright = float(np.quantile(sample.totals, 0.9))
    with_beam = sample.totals > LOST * bright
    if not bright > 0:
        yield make_diagnosis("D401", 0, "The frames have no counts.", "error")
        return
    yield from _dose(sample, with_beam, covered)
    yield from _loss(sample, with_beam)
    yield from _fading(sample, with_beam)
    if not sample.scan.near:
        yield from _direction(sample, with_beam, refined=pointing)
        yield from _background(sample)
        yield from _wrapping(sample)


def _dose(sample: FrameSample, with_beam: NDArray[np.bool_], covered: float | None) -> Iterator[Diagnosis]:
    if not covered:
        return
    dose = float(sample.totals[with_beam].mean()) * sample.of / covered
    if dose < PHOTONS:
        level: Level | None = "error" if dose < PHOTONS / 25 else None
        noise = 0.5 / np.sqrt(max(dose, 1e-9))
        yield make_diagnosis(
            "D401", dose, f"{dose:.3g} photons per object pixel: its phase noise is at least {noise:.2g} rad.", level
        )


def _loss(sample: FrameSample, with_beam: NDArray[np.bool_]) -> Iterator[Diagnosis]:
    lost = sample.frames[~with_beam]
    if len(lost):
        indices = ", ".join(map(str, lost[:5])) + (", ..." if len(lost) > 5 else "")
        checked = "" if sample.whole else f" of {len(sample.frames)} checked"
        evidence = f"{len(lost)} frames{checked} have less than {LOST:.0%} of the usual counts: {indices}."
        yield make_diagnosis("D407", len(lost), evidence)


def _fading(sample: FrameSample, with_beam: NDArray[np.bool_]) -> Iterator[Diagnosis]:
    """Find a steady change of the intensity."""
    time, totals = sample.time[with_beam], sample.totals[with_beam]
    if len(time) < STEADY:
        return
    positions = sample.scan.positions[sample.frames[with_beam], :2]  # a sample darker at one side is not a drift
    change, sigmas = trend(time, totals / totals.mean(), positions)
    if abs(change) > FADED and sigmas > SIGMAS:
        evidence = f"The counts per frame change by {change:+.0%} from the first to the last frame."
        yield make_diagnosis("D406", change, evidence)


def _direction(sample: FrameSample, with_beam: NDArray[np.bool_], *, refined: bool) -> Iterator[Diagnosis]:
    """Find patterns that move, or whose intensity moves while the edges of the beam hardly do."""
    moves = tuple(diagnose_pointing(sample, with_beam, refined=refined))
    changes = tuple(_wandering(sample, with_beam))
    yield from changes if moves and changes and changes[0].number > INSIDE * moves[0].number else moves or changes


def _wandering(sample: FrameSample, with_beam: NDArray[np.bool_]) -> Iterator[Diagnosis]:
    """Find a steady change of the distribution of the intensity in the beam, while its edges do not move."""
    if with_beam.sum() < STEADY:
        return
    centres, radius = _centres(sample, with_beam)
    moves, significance = np.array([trend(sample.time[with_beam], centre) for centre in centres.T]).T
    length = float(np.hypot(*moves))
    if length > WANDERED * radius and significance.max() > SIGMAS:
        evidence = f"The centre of mass of the patterns moves by {length:.3g} detector pixels during the scan."
        yield make_diagnosis("D406", length, evidence)


def _centres(sample: FrameSample, with_beam: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Return the centres of mass of the patterns in pixels, shape (n, 2), and the rms radius of the mean pattern."""
    mean = np.where(sample.clean, np.maximum(sample.mean - sample.dark, 0), 0)
    rows, columns = np.indices(mean.shape, dtype=np.float64)
    weight = mean / mean.sum()
    y, x = float((weight * rows).sum()), float((weight * columns).sum())
    radius = float(np.sqrt((weight * ((rows - y) ** 2 + (columns - x) ** 2)).sum()))
    offsets = np.stack([(rows - y) * sample.clean, (columns - x) * sample.clean])
    moments = [np.tensordot(offsets, sample.patterns[j] - sample.dark, 2) for j in np.flatnonzero(with_beam)]
    return np.array(moments) / sample.totals[with_beam, None], radius


def trend(
    time: NDArray[np.float64], values: NDArray[np.float64], others: NDArray[np.float64] | None = None
) -> tuple[float, float]:
    """Fit a straight line to values over time.

    Parameters
    ----------
    time, values : ndarray of shape (n,)
        Times and values.
    others : ndarray of shape (n, m), optional
        Quantities on which the values may depend linearly. What they explain does not count as a trend. If time
        depends on them, the standard error is large.

    Returns
    -------
    change : float
        Change of the values in one unit of time.
    sigmas : float
        Its modulus divided by its standard error.
    """
    others = np.zeros((len(time), 0)) if others is None else others
    columns = np.column_stack([np.ones(len(time)), others])
    size = np.linalg.norm(columns, axis=0)
    basis = np.linalg.qr(columns / np.where(size > 0, size, 1))[0]
    t, rest = (v - basis @ (basis.T @ v) for v in (time, values))
    spread = max(float((t**2).sum()), 1e-12)
    slope = float((t * rest).sum()) / spread
    error = np.sqrt(((rest - slope * t) ** 2).sum() / max(len(t) - 2 - others.shape[1], 1) / spread)
    return slope, abs(slope) / max(float(error), 1e-12)


def _background(sample: FrameSample) -> Iterator[Diagnosis]:
    """Find counts that do not vary from frame to frame as speckles do, where the patterns are faintest.

    The variance of a pixel over frames is m + c^2 s^2, where m = s + b are the mean counts, and s of them are in
    speckles of contrast c. The contrast is 1 in coherent light with several pixels per speckle. If it is lower, b is
    overestimated.
    """
    yield from _modelled_background(sample)
    variance = np.zeros(sample.mean.shape)
    for frame in sample.patterns:
        variance += (frame - sample.mean) ** 2 / max(len(sample.patterns) - 1, 1)
    known = sample.clean & (sample.mean > 0)
    faint = known & (sample.mean <= np.quantile(sample.mean[sample.clean], 0.25))
    if not faint.any() or len(sample.patterns) < 16:
        return
    mean = float((sample.mean - sample.dark)[faint].mean())
    speckles = np.sqrt(max(float((variance - sample.mean)[faint].mean()), 0))
    level = mean - speckles
    share = level * sample.clean.sum() / max(float((sample.mean - sample.dark)[sample.clean].sum()), 1e-9)
    if share > BACKGROUND and level > 0.5 * mean:
        evidence = f"About {level:.2g} counts per pixel and frame are constant background, {share:.0%} of all counts."
        yield make_diagnosis("D416", level, evidence)


def _modelled_background(sample: FrameSample) -> Iterator[Diagnosis]:
    """Report a background that the preparation has estimated: the model has it, but its noise remains."""
    floors = [step.settings.get("floor", 0.0) for step in sample.scan.preparation if step.heading == "background"]
    floor = float(max(floors, default=0.0))
    share = floor * sample.clean.sum() / max(float(sample.mean[sample.clean].sum()), 1e-9)
    if share > NOISY_BACKGROUND:
        evidence = f"{floor:.3g} counts per pixel and frame are constant background, {share:.0%} of all counts."
        remedy = "No action is needed for this result; remove the source of the background before the next scan."
        yield replace(make_diagnosis("D416", floor, evidence), consequence=NOISE_REMAINS, remedy=remedy)


def _wrapping(sample: FrameSample) -> Iterator[Diagnosis]:
    """Find exit waves that reach around the edges of the array, of which the beam should fill less than half."""
    correlation = sample.autocorrelation
    rows, columns = (n // 2 for n in correlation.shape)
    middle = correlation[rows - 4 : rows + 5, columns - 4 : columns + 5].mean()
    edge = np.concatenate([correlation[:2].ravel(), correlation[:, :2].ravel()]).mean()
    noise = sample.floor / np.sqrt(min(len(sample.frames), TRANSFORMED) * sum(correlation.shape))
    if edge > WRAPPED * middle and edge > SIGMAS * noise:
        level: Level | None = "error" if edge > 10 * WRAPPED * middle else None
        evidence = (
            "The autocorrelation of the exit waves should vanish at half the width of the probe array, but is "
            f"{edge / middle:.1%} of its central value there."
        )
        yield make_diagnosis("D413", edge / middle, evidence, level)
