"""Bad pixels: find them from the patterns and the mask, exclude them, and interpolate them if required.

A pattern is oversampled: speckles are wider than a pixel. So a pixel that is far brighter or far darker than all but
two of its neighbours, in the mean or repeatedly in single frames, is a fault of the detector.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from exitwave.frames import ChangedFrames
from exitwave.preparation.survey import CLEAR, ISOLATED, Progress, Survey, survey_frames
from exitwave.scan import Decision, Scan

BITS = {"unset": 1 << 0, "dead": 1 << 1, "hot": 1 << 3, "flickering": 1 << 4, "stuck": 1 << 4}
"""NeXus bits of `Detector.pixel_mask` by the fault."""
USER = np.uint32(1 << 8)
"""The bit of a pixel that the file's mask marks as bad without a reason."""
DEAD_FRACTION = 0.05
"""Fraction of its neighbours' counts below which a pixel is dead."""
HOT_COUNTS = 40.0
"""Excess counts in all frames together below which a pixel is not hot."""
DEAD_COUNTS = 20.0
"""Counts in all frames together that are not missing by chance."""
FLICKERING_FRACTION = 0.01
"""Fraction of the frames in which a flickering pixel is isolated; at least three frames."""
STUCK_FRAMES = 20
"""Number of frames in which a stuck pixel must have the same count."""
LEAST_SATURATION, CLIPPED_PIXELS = 255.0, 8
"""The largest count is the detector's full scale if it is at least this count, in at least this number of pixels."""


def clean_pixels(
    scan: Scan, *, interpolate: bool = False, survey: Survey | None = None, progress: Progress | None = None
) -> Scan:
    """Return a scan whose mask includes the pixels that are hot, dead, stuck, flickering or never set.

    The mask excludes them from the likelihood. Single invalid counts (2^n - 1, negative, NaN) are excluded from their
    frames: by a saturation value where the file has none. Where the file has no saturation value and many pixels share
    the largest count, this count becomes the saturation value.

    Parameters
    ----------
    scan : Scan
        The scan.
    interpolate : bool
        Whether to replace the counts of bad pixels by the mean of their good neighbours. The pixels stay masked: the
        interpolation is for display and for networks, not for the likelihood.
    survey : Survey, optional
        Statistics of the frames; computed where not given.
    progress : callable, optional
        As in `survey_frames`.

    Returns
    -------
    Scan
    """
    survey = survey or survey_frames(scan, progress)
    detector = scan.detector
    reasons = find_bad_pixels(survey, detector.always_good)
    bad = np.logical_or.reduce(list(reasons.values()))
    saturation = find_saturation(survey, detector.always_good & ~bad, detector.saturation)
    before = detector.pixel_mask
    before = (~detector.always_good).astype(np.uint32) * USER if before is None else before
    bits = np.bitwise_or.reduce([reasons[name].astype(np.uint32) * np.uint32(bit) for name, bit in BITS.items()])
    mask = (detector.mask | bad).astype(np.uint8)
    numbers: dict[str, Any] = {name: int(pixels.sum()) for name, pixels in reasons.items()}
    numbers |= {"masked": int((~detector.always_good | bad).sum()), "saturation": saturation}
    decision = Decision("pixels", "masked", numbers, _description(reasons, detector.saturation, saturation))
    changed = replace(
        scan,
        detector=replace(detector, mask=mask, pixel_mask=before | bits, saturation=saturation),
        preparation=(*scan.preparation, decision),
    )
    return interpolate_pixels(changed) if interpolate else changed


def _description(reasons: dict[str, NDArray[np.bool_]], before: float | None, saturation: float | None) -> str:
    numbers = [f"{int(pixels.sum())} {name}" for name, pixels in reasons.items() if pixels.any()]
    words = f"masked {', '.join(numbers)}" if numbers else "no bad pixels besides those of the mask"
    if saturation == before:
        return words
    return f"{words}; saturation estimated as {saturation:g} counts, which many pixels reach and none exceeds"


def find_bad_pixels(survey: Survey, good: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Return the bad pixels among the good pixels of the mask, each of shape (ny, nx), by the fault.

    unset: a valid count in no frame, or in less than half of the frames. stuck: the same count in every frame. hot,
    dead: far brighter or darker than all neighbours but two, in the mean without the brightest frame. flickering: far
    brighter than all neighbours repeatedly in single frames.
    """
    unset = good & (2 * survey.valid < survey.frames)
    good = good & ~unset
    stuck = good & (survey.least == survey.most) & (survey.most > 0) & (survey.valid >= STUCK_FRAMES)
    good = good & ~stuck
    times = np.maximum(survey.valid - 1, 1)
    total, mean = survey.total - survey.most, (survey.total - survey.most) / times
    hot = np.zeros_like(good)
    while True:
        bright = ranked_neighbour(mean, good & ~hot, 3, largest=True) * times
        new = good & ~hot & (total > ISOLATED * bright + 5 * np.sqrt(bright) + HOT_COUNTS)
        if not new.any():
            break
        hot |= new
    dark = ranked_neighbour(survey.mean, good & ~hot, 3, largest=False)
    dark = np.where(np.isfinite(dark), dark, 0) * survey.valid
    dead = good & ~hot & (survey.total < DEAD_FRACTION * (dark - DEAD_COUNTS))
    peaks = ranked_neighbour(survey.most, good & ~hot, 3, largest=True)
    flickering = good & ~hot & ~dead & (survey.isolated >= max(3.0, FLICKERING_FRACTION * survey.frames))
    flickering &= survey.most > ISOLATED * peaks + CLEAR  # at the edge of a pupil neighbours are as bright at times
    return {"unset": unset, "dead": dead, "hot": hot, "stuck": stuck, "flickering": flickering}


def ranked_neighbour(
    image: NDArray[np.float64], good: NDArray[np.bool_], rank: int, *, largest: bool
) -> NDArray[np.float64]:
    """Return the largest, second largest, ... (or smallest) of the good neighbours of each pixel, shape (ny, nx).

    With fewer good neighbours than the rank, it is 0 for the largest and inf for the smallest.
    """
    ny, nx = image.shape
    none = 0.0 if largest else np.inf
    padded = np.pad(np.where(good, image, none), 1, constant_values=none)
    shifts = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    neighbours = np.sort([padded[i : i + ny, j : j + nx] for i, j in shifts], axis=0)
    return np.asarray(neighbours[-rank if largest else rank - 1])


def find_saturation(survey: Survey, good: NDArray[np.bool_], known: float | None) -> float | None:
    """Return the count from which on a pixel is saturated, or None.

    It is the smallest of: the known value; 2^n - 1 of the type, where a good pixel has it; and the largest count, where
    at least `CLIPPED_PIXELS` pixels reach it.
    """
    limits = [] if known is None else [known]
    if survey.mark is not None and survey.marked[good].any():
        limits.append(survey.mark)
    most = survey.most[good]
    peak = float(most.max(initial=0))
    if (known is None or peak < known) and peak >= LEAST_SATURATION and (most == peak).sum() >= CLIPPED_PIXELS:
        limits.append(peak)
    return min(limits, default=None)


def interpolate_pixels(scan: Scan) -> Scan:
    """Return a scan with the counts of permanently bad pixels replaced by the mean of their good neighbours."""
    layers = _interpolation_layers(scan.detector.always_good)
    shape, dtype = (scan.patterns.shape[1], scan.patterns.shape[2]), np.dtype(np.float32)
    count = int((~scan.detector.always_good).sum())
    why = "counts of bad pixels replaced by the mean of their good neighbours; the pixels stay masked"
    return replace(
        scan,
        patterns=ChangedFrames(scan.patterns, partial(_interpolate, layers), shape, dtype),
        preparation=(*scan.preparation, Decision("pixels", "interpolated", {"pixels": count}, why)),
    )


Layers = list[tuple[NDArray[np.int64], sparse.csr_array]]
"""Flat indices of pixels, and the matrix that computes them from all others, in order from the rim of holes inwards."""


def _interpolation_layers(good: NDArray[np.bool_]) -> Layers:
    """Return the layers that fill the bad pixels; each uses good pixels and those of the layers before."""
    ny, nx = good.shape
    layers: Layers = []
    known = good.copy()
    while known.any() and not known.all():
        padded = np.pad(known, 1)
        shifts = [(i, j) for i in range(3) for j in range(3)]
        near = np.array([padded[i : i + ny, j : j + nx] for i, j in shifts])
        rows, columns = np.nonzero(~known & near.any(axis=0))
        target, neighbour = np.nonzero(near[:, rows, columns].T)
        offsets = np.array(shifts) - 1
        source = (rows[target] + offsets[neighbour, 0]) * nx + columns[target] + offsets[neighbour, 1]
        weight = 1 / np.bincount(target)[target]
        matrix = sparse.csr_array((weight, (target, source)), shape=(len(rows), ny * nx))
        layers.append((rows * nx + columns, matrix))
        known[rows, columns] = True
    return layers


def _interpolate(layers: Layers, counts: NDArray[Any]) -> NDArray[np.float32]:
    flat = counts.astype(np.float32).reshape(-1, counts.shape[-2] * counts.shape[-1])
    for pixels, _ in layers:
        flat[:, pixels] = 0  # NaN must not spread
    for pixels, matrix in layers:
        flat[:, pixels] = (matrix @ flat.T).T
    return flat.reshape(counts.shape)
