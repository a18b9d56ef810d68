"""The background: counts without the beam, from a dark frame or estimated where there is no signal.

It is kept in the forward model, or subtracted. The model is the better choice: counts then keep Poisson statistics.
Subtracting 0.05 counts from a frame of zeros and ones does not change the zeros, because counts are not negative, and
so removes little of the background.
"""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from exitwave.errors import InputError
from exitwave.frames import ChangedFrames
from exitwave.preparation.survey import Progress, Survey, survey_frames
from exitwave.scan import Decision, Detector, Scan

Treatment = Literal["model", "subtract"]
SPECKLE_CONTRAST = 0.5
"""Variance of a speckle pattern over its squared mean, for several modes and pixels that average over a speckle."""
DARKEST_FRACTION = 0.05
"""Fraction of the pixels, the darkest ones, from which the background is estimated."""
VARIANCE_MARGIN = 1.5
"""Standard errors added to the variance, so that signal is not counted as background."""
LEAST_SIGNIFICANCE = 3.0
"""Standard errors that an estimate must exceed; otherwise the background is 0."""
LOST_BEAM = 0.05
"""Fraction of the median counts of a frame below which a frame is without beam."""


def set_background(
    scan: Scan,
    treatment: Treatment = "model",
    *,
    dark: NDArray[Any] | None = None,
    estimate: bool = True,
    survey: Survey | None = None,
    progress: Progress | None = None,
) -> Scan:
    """Return a scan whose background is its detector's dark frame, or subtracted; exclude frames without beam.

    Parameters
    ----------
    scan : Scan
        The scan; its detector's dark frame is used unless another one is given.
    treatment : str
        ``model``: the background stays in the counts and is the detector's dark frame. The engine has it in its model
        with the setting ``detector.background: dark``, and otherwise subtracts it when it loads the counts.
        ``subtract``: it is subtracted when the patterns are read; negative differences become 0.
    dark : ndarray of shape (ny, nx) or (n, ny, nx), optional
        Dark frame in counts, or several, of which the mean is taken.
    estimate : bool
        Whether to estimate scattered light, a constant beside the dark frame, see `find_floor`. It is never estimated
        in the near field, where all pixels have signal.
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
        If the dark frame does not have the shape of the frames.
    """
    survey = survey or survey_frames(scan, progress)
    detector = scan.detector if dark is None else replace(scan.detector, dark=_mean_dark(scan, dark))
    floor = find_floor(survey, detector) if estimate and not scan.near else 0.0
    base = np.zeros(scan.patterns.shape[1:], np.float32) if detector.dark is None else np.nan_to_num(detector.dark)
    total = np.maximum(base, 0) + np.float32(floor)
    lost = _frames_without_beam(survey, scan.detector.always_good, total)
    left_out = scan.left_out | ({"no beam": lost} if lost else {})
    numbers = {"dark": float(base.mean()), "floor": floor, "frames_without_beam": len(lost)}
    without_beam = f"; {len(lost)} frames without beam are left out" if lost else ""
    if not total.any():
        words = "no dark frame, and no counts where there is no signal"
        decision = Decision("background", "none", numbers, words + without_beam)
        return replace(scan, left_out=left_out, preparation=(*scan.preparation, decision))
    words = f"{float(total.mean()):.3g} counts per pixel, of which {floor:.3g} are estimated where there is no signal"
    known = replace(scan, detector=replace(detector, dark=total.astype(np.float32)), left_out=left_out)
    decision = Decision("background", "in the model", numbers, f"{words}; the counts are not changed{without_beam}")
    known = replace(known, preparation=(*scan.preparation, decision))
    return known if treatment == "model" else subtract_dark(known)


def subtract_dark(scan: Scan) -> Scan:
    """Return a scan with the detector's dark frame subtracted; invalid and saturated counts stay as they are."""
    detector, shape = scan.detector, (scan.patterns.shape[1], scan.patterns.shape[2])
    if detector.dark is None:
        return scan
    decision = Decision("background", "subtracted", {}, "subtracted from the frames; negative differences become 0")

    def subtract(counts: NDArray[Any]) -> NDArray[np.float32]:
        kept = counts.astype(np.float32)
        full = kept >= (np.inf if detector.saturation is None else detector.saturation)
        return np.where((kept < 0) | full, kept, detector.without_dark(kept)).astype(np.float32)

    patterns = ChangedFrames(scan.patterns, subtract, shape, np.dtype(np.float32))
    return replace(
        scan, patterns=patterns, detector=replace(detector, dark=None), preparation=(*scan.preparation, decision)
    )


def _mean_dark(scan: Scan, dark: NDArray[Any]) -> NDArray[np.float32]:
    shape = scan.patterns.shape[1:]
    values = np.asarray(dark)
    values = values.mean(axis=0, dtype=np.float64) if values.ndim == 3 else values
    if values.shape != shape or values.dtype.kind not in "iuf":
        remedy = f"Give a dark frame of shape {shape}, or several"
        raise InputError("The dark frame does not fit the frames", found=f"shape {np.shape(dark)}", remedy=remedy)
    return values.astype(np.float32)


def find_floor(survey: Survey, detector: Detector) -> float:
    """Return the estimated background beside the dark frame, in counts per pixel and frame.

    The mean m of the darkest pixels is the sum of background and signal. The signal is speckle, which differs from
    frame to frame: a signal of intensity s adds at least `SPECKLE_CONTRAST` s^2 to the Poisson variance m. So s is at
    most sqrt((variance - m) / SPECKLE_CONTRAST), and the rest of m is background (J. W. Goodman, Speckle Phenomena in
    Optics, section 3.2, for the contrast of summed patterns).
    """
    good = detector.always_good & (survey.valid > 1)
    if not good.any():
        return 0.0
    smooth = ndimage.uniform_filter(np.where(good, survey.mean, 0), 5) / np.maximum(
        ndimage.uniform_filter(good.astype(float), 5), 1e-9
    )
    darkest = good & (smooth <= np.quantile(smooth[good], DARKEST_FRACTION))
    times = survey.valid[darkest]
    mean = survey.total[darkest] / times
    variance = np.maximum(survey.squares[darkest] / times - mean**2, 0) * times / np.maximum(times - 1, 1)
    level, excess = float(mean.mean()), float((variance - mean).mean())
    error = level * np.sqrt(2 / times.sum()) + np.sqrt(level / times.sum())
    signal = np.sqrt(max(excess + VARIANCE_MARGIN * error, 0) / SPECKLE_CONTRAST)
    dark = 0.0 if detector.dark is None else float(np.maximum(np.nan_to_num(detector.dark[darkest]), 0).mean())
    floor = level - dark - signal
    return float(floor) if floor > LEAST_SIGNIFICANCE * np.sqrt(level / times.sum()) else 0.0


def _frames_without_beam(survey: Survey, good: NDArray[np.bool_], dark: NDArray[Any]) -> tuple[int, ...]:
    """Return the frames whose counts without the background are far below the median of all frames."""
    sums = survey.frame_counts(good)
    counts = sums - float(dark[good].sum())
    median = float(np.median(counts))
    lost = (counts < LOST_BEAM * median) & (counts < median - 5 * np.sqrt(np.maximum(sums, 1)))
    return tuple(int(index) for index in np.flatnonzero(lost | (survey.sums <= 0)))
