"""Counts without the beam: of a dark frame, or estimated from where no signal is; in the model, or subtracted.

In the model is better: a count is then still a Poisson number, and a pixel of 0 counts says what it says. Subtracting
0.05 counts from a frame of zeros and ones does nothing to the zeros, and so takes off hardly anything.
"""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from exitwave.errors import InputError
from exitwave.frames import ChangedFrames
from exitwave.preparation.survey import Progress, Survey, survey
from exitwave.scan import Decision, Detector, Scan

How = Literal["model", "subtract"]
CONTRAST = 0.5
"""Variance of a speckle pattern over its squared mean, of several modes and of pixels that average over a speckle."""
DARKEST = 0.05
"""Part of the pixels, the darkest ones, of which the background is estimated."""
CAUTION = 1.5
"""Standard errors of the variance that are added to it, so that no signal is taken for background."""
SHORT = 3.0
"""Standard errors that an estimate must exceed to be taken for more than nothing."""
LOST = 0.05
"""Part of the median counts of a frame, less than which the beam was lost."""


def background(
    scan: Scan,
    how: How = "model",
    *,
    dark: NDArray[Any] | None = None,
    estimate: bool = True,
    found: Survey | None = None,
    progress: Progress | None = None,
) -> Scan:
    """Return a scan whose background is known, or taken off; frames that hold nothing else are left out.

    Parameters
    ----------
    scan : Scan
        The scan; its detector's dark frame is the background, unless another one is given.
    how : str
        ``model``: the background stays in the counts and is the detector's dark frame, which the engine has in its
        model with the setting ``detector.background: dark`` and otherwise subtracts when it loads the frames.
        ``subtract``: it is taken off the frames as they are read; what falls below zero becomes zero.
    dark : ndarray of shape (ny, nx) or (n, ny, nx), optional
        Dark frame in counts, or several, whose mean it is.
    estimate : bool
        Whether scattered light, a constant beside the dark frame, is looked for, see `find_floor`; not in the near
        field, where there is signal everywhere.
    found : Survey, optional
        What is known of the frames; else they are looked at.
    progress : callable, optional
        As `survey`.

    Returns
    -------
    Scan

    Raises
    ------
    InputError
        If the dark frame has another shape than the frames.
    """
    known = found or survey(scan, progress)
    detector = scan.detector if dark is None else replace(scan.detector, dark=_mean_dark(scan, dark))
    floor = find_floor(known, detector) if estimate and not scan.near else 0.0
    base = np.zeros(scan.patterns.shape[1:], np.float32) if detector.dark is None else np.nan_to_num(detector.dark)
    total = np.maximum(base, 0) + np.float32(floor)
    lost = _lost(known, scan.detector.always_good, total)
    left_out = scan.left_out | ({"no beam": lost} if lost else {})
    numbers = {"dark": float(base.mean()), "floor": floor, "frames_without_beam": len(lost)}
    if not total.any():
        step = Decision("background", "none", numbers, "no dark frame, and no pixel counts where there is no signal")
        return replace(scan, left_out=left_out, preparation=(*scan.preparation, step))
    words = f"{float(total.mean()):.3g} counts a pixel, of which {floor:.3g} are estimated where there is no signal"
    seen = replace(scan, detector=replace(detector, dark=total.astype(np.float32)), left_out=left_out)
    step = Decision("background", "in the model", numbers, f"{words}; the frames keep their counts")
    seen = replace(seen, preparation=(*scan.preparation, step))
    return seen if how == "model" else subtract_dark(seen)


def subtract_dark(scan: Scan) -> Scan:
    """Return a scan whose frames are without the detector's dark frame; what is no measurement stays none."""
    detector, shape = scan.detector, (scan.patterns.shape[1], scan.patterns.shape[2])
    if detector.dark is None:
        return scan
    step = Decision(
        "background", "subtracted", {}, "the frames have lost the background; what falls below zero is zero"
    )

    def change(counts: NDArray[Any]) -> NDArray[np.float32]:
        kept = counts.astype(np.float32)
        full = kept >= (np.inf if detector.saturation is None else detector.saturation)
        return np.where((kept < 0) | full, kept, detector.without_dark(kept)).astype(np.float32)

    frames = ChangedFrames(scan.patterns, change, shape, np.dtype(np.float32))
    return replace(scan, patterns=frames, detector=replace(detector, dark=None), preparation=(*scan.preparation, step))


def _mean_dark(scan: Scan, dark: NDArray[Any]) -> NDArray[np.float32]:
    shape = scan.patterns.shape[1:]
    values = np.asarray(dark)
    values = values.mean(axis=0, dtype=np.float64) if values.ndim == 3 else values
    if values.shape != shape or values.dtype.kind not in "iuf":
        remedy = f"Give a dark frame of shape {shape}, or several"
        raise InputError("The dark frame does not fit the frames", found=f"shape {np.shape(dark)}", remedy=remedy)
    return values.astype(np.float32)


def find_floor(found: Survey, detector: Detector) -> float:
    """Return the counts per pixel and frame beside the dark frame that are there without a signal.

    Of the darkest pixels the mean m is that of background and signal. The signal is speckle, which differs from frame
    to frame: of intensity s it adds to the Poisson variance m at least `CONTRAST` s^2. So s is at most
    sqrt((variance - m) / CONTRAST), and what is left of m is background (J. W. Goodman, Speckle Phenomena in Optics,
    section 3.2, for the contrast of summed patterns).
    """
    good = detector.always_good & (found.valid > 1)
    if not good.any():
        return 0.0
    smooth = ndimage.uniform_filter(np.where(good, found.mean, 0), 5) / np.maximum(
        ndimage.uniform_filter(good.astype(float), 5), 1e-9
    )
    darkest = good & (smooth <= np.quantile(smooth[good], DARKEST))
    times = found.valid[darkest]
    mean = found.total[darkest] / times
    variance = np.maximum(found.squares[darkest] / times - mean**2, 0) * times / np.maximum(times - 1, 1)
    level, excess = float(mean.mean()), float((variance - mean).mean())
    doubt = level * np.sqrt(2 / times.sum()) + np.sqrt(level / times.sum())
    signal = np.sqrt(max(excess + CAUTION * doubt, 0) / CONTRAST)
    dark = 0.0 if detector.dark is None else float(np.maximum(np.nan_to_num(detector.dark[darkest]), 0).mean())
    floor = level - dark - signal
    return float(floor) if floor > SHORT * np.sqrt(level / times.sum()) else 0.0


def _lost(found: Survey, good: NDArray[np.bool_], dark: NDArray[Any]) -> tuple[int, ...]:
    """Return the frames whose counts without the background are next to nothing of those of the others."""
    sums = found.frame_counts(good)
    counts = sums - float(dark[good].sum())
    usual = float(np.median(counts))
    lost = (counts < LOST * usual) & (counts < usual - 5 * np.sqrt(np.maximum(sums, 1)))
    return tuple(int(index) for index in np.flatnonzero(lost | (found.sums <= 0)))
