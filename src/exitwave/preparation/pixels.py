"""Pixels that measure nothing: found from the stack and from the mask, left out, and filled in where that is wanted.

A pattern is oversampled: no speckle is narrower than a pixel. So a pixel that is far brighter or far darker than all
but two of its neighbours, in the mean or again and again in single frames, is not what the beam has done.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from exitwave.frames import ChangedFrames
from exitwave.preparation.survey import CLEAR, LONELY, Progress, Survey, survey
from exitwave.scan import Decision, Scan

BITS = {"unset": 1 << 0, "dead": 1 << 1, "hot": 1 << 3, "flickering": 1 << 4, "stuck": 1 << 4}
"""NeXus bits of `Detector.pixel_mask` by what is wrong."""
USER = np.uint32(1 << 8)
"""The bit of a pixel that the file's mask calls bad without a reason."""
DARKER = 0.05
"""Part of its neighbours' counts below which a pixel is dead."""
SURE = 40.0
"""Counts in all frames together, less than which say nothing of a pixel."""
NOTHING = 20.0
"""Counts in all frames together that cannot be missed by chance."""
OFTEN = 0.01
"""Part of the frames in which a flickering pixel is alone, at least three."""
LONG = 20
"""Frames in which a pixel must show one and the same count to be stuck."""
SATURATED, CLIPPED = 255.0, 8
"""A count so high that is the largest of so many pixels is the detector's full scale."""


def clean_pixels(
    scan: Scan, *, interpolate: bool = False, found: Survey | None = None, progress: Progress | None = None
) -> Scan:
    """Return a scan whose mask has the pixels that are hot, dead, stuck, flickering or never set.

    They are left out of the likelihood by the mask. Single counts that are no measurement (2^n - 1, negative, NaN) are
    left out of their frames: by a saturation value where the file has none. Where the file does not say when a pixel is
    saturated and many share the largest count, that is taken for it.

    Parameters
    ----------
    scan : Scan
        The scan.
    interpolate : bool
        Whether frames show the mean of the good neighbours in the place of a bad pixel, which stays masked: for eyes
        and networks, not for the likelihood.
    found : Survey, optional
        What is known of the frames; else they are looked at.
    progress : callable, optional
        As `survey`.

    Returns
    -------
    Scan
    """
    known = found or survey(scan, progress)
    detector = scan.detector
    reasons = find_bad_pixels(known, detector.always_good)
    bad = np.logical_or.reduce(list(reasons.values()))
    saturation = find_saturation(known, detector.always_good & ~bad, detector.saturation)
    before = detector.pixel_mask
    before = (~detector.always_good).astype(np.uint32) * USER if before is None else before
    bits = np.bitwise_or.reduce([reasons[name].astype(np.uint32) * np.uint32(bit) for name, bit in BITS.items()])
    mask = (detector.mask | bad).astype(np.uint8)
    numbers: dict[str, Any] = {name: int(pixels.sum()) for name, pixels in reasons.items()}
    numbers |= {"masked": int((~detector.always_good | bad).sum()), "saturation": saturation}
    step = Decision("pixels", "masked", numbers, _in_words(reasons, detector.saturation, saturation))
    changed = replace(
        scan,
        detector=replace(detector, mask=mask, pixel_mask=before | bits, saturation=saturation),
        preparation=(*scan.preparation, step),
    )
    return interpolated(changed) if interpolate else changed


def _in_words(reasons: dict[str, NDArray[np.bool_]], before: float | None, saturation: float | None) -> str:
    counted = [f"{int(pixels.sum())} {name}" for name, pixels in reasons.items() if pixels.any()]
    words = f"left out {', '.join(counted)}" if counted else "no bad pixel beside those of the mask"
    if saturation == before:
        return words
    return f"{words}; many pixels stop at {saturation:g} counts, which is taken for saturation"


def find_bad_pixels(found: Survey, good: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Return which good pixels are bad after all, each of shape (ny, nx), by the reason.

    unset: never, or in less than half of the frames, a measurement; stuck: the same count in every frame; hot, dead:
    far brighter or darker than all neighbours but two, in the mean without the brightest frame; flickering: again and
    again far brighter than all neighbours in a frame.
    """
    unset = good & (2 * found.valid < found.frames)
    good = good & ~unset
    stuck = good & (found.least == found.most) & (found.most > 0) & (found.valid >= LONG)
    good = good & ~stuck
    times = np.maximum(found.valid - 1, 1)
    total, mean = found.total - found.most, (found.total - found.most) / times
    hot = np.zeros_like(good)
    while True:
        bright = ranked_neighbour(mean, good & ~hot, 3, largest=True) * times
        new = good & ~hot & (total > LONELY * bright + 5 * np.sqrt(bright) + SURE)
        if not new.any():
            break
        hot |= new
    dark = ranked_neighbour(found.mean, good & ~hot, 3, largest=False)
    dark = np.where(np.isfinite(dark), dark, 0) * found.valid
    dead = good & ~hot & (found.total < DARKER * (dark - NOTHING))
    peaks = ranked_neighbour(found.most, good & ~hot, 3, largest=True)
    flickering = good & ~hot & ~dead & (found.alone >= max(3.0, OFTEN * found.frames))
    flickering &= found.most > LONELY * peaks + CLEAR  # at the edge of a pupil others are as bright at times
    return {"unset": unset, "dead": dead, "hot": hot, "stuck": stuck, "flickering": flickering}


def ranked_neighbour(
    image: NDArray[np.float64], good: NDArray[np.bool_], rank: int, *, largest: bool
) -> NDArray[np.float64]:
    """Return the largest, second largest, ... (or smallest) of the good neighbours of every pixel, shape (ny, nx).

    Where there are not as many, it is 0 of the largest and inf of the smallest.
    """
    ny, nx = image.shape
    none = 0.0 if largest else np.inf
    padded = np.pad(np.where(good, image, none), 1, constant_values=none)
    shifts = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    neighbours = np.sort([padded[i : i + ny, j : j + nx] for i, j in shifts], axis=0)
    return np.asarray(neighbours[-rank if largest else rank - 1])


def find_saturation(found: Survey, good: NDArray[np.bool_], known: float | None) -> float | None:
    """Return counts from which on a pixel is saturated: what is known, or what the stack gives away, or None.

    2^n - 1 of the type, where a good pixel has it; or the largest count, where at least `CLIPPED` pixels reach it and
    none goes beyond.
    """
    limits = [] if known is None else [known]
    if found.mark is not None and found.marked[good].any():
        limits.append(found.mark)
    most = found.most[good]
    peak = float(most.max(initial=0))
    if known is None and peak >= SATURATED and (most == peak).sum() >= CLIPPED:
        limits.append(peak)
    return min(limits, default=None)


def interpolated(scan: Scan) -> Scan:
    """Return a scan whose frames show the mean of the good neighbours in the place of pixels that are always bad."""
    layers = _layers(scan.detector.always_good)
    shape, dtype = (scan.patterns.shape[1], scan.patterns.shape[2]), np.dtype(np.float32)
    count = int((~scan.detector.always_good).sum())
    why = "bad pixels show the mean of their good neighbours, and stay masked"
    return replace(
        scan,
        patterns=ChangedFrames(scan.patterns, partial(_fill, layers), shape, dtype),
        preparation=(*scan.preparation, Decision("pixels", "interpolated", {"pixels": count}, why)),
    )


Layers = list[tuple[NDArray[np.int64], sparse.csr_array]]
"""Pixels, and the matrix that makes them of all others; one after the other, from the rims of holes to their middle."""


def _layers(good: NDArray[np.bool_]) -> Layers:
    ny, nx = good.shape
    layers: Layers = []
    known = good.copy()
    while known.any() and not known.all():
        around = np.pad(known, 1)
        shifts = [(i, j) for i in range(3) for j in range(3)]
        near = np.array([around[i : i + ny, j : j + nx] for i, j in shifts])
        rows, columns = np.nonzero(~known & near.any(axis=0))
        which, place = np.nonzero(near[:, rows, columns].T)
        offsets = np.array(shifts) - 1
        source = (rows[which] + offsets[place, 0]) * nx + columns[which] + offsets[place, 1]
        weight = 1 / np.bincount(which)[which]
        matrix = sparse.csr_array((weight, (which, source)), shape=(len(rows), ny * nx))
        layers.append((rows * nx + columns, matrix))
        known[rows, columns] = True
    return layers


def _fill(layers: Layers, counts: NDArray[Any]) -> NDArray[np.float32]:
    flat = counts.astype(np.float32).reshape(-1, counts.shape[-2] * counts.shape[-1])
    for pixels, _ in layers:
        flat[:, pixels] = 0  # what is no number must not spread
    for pixels, matrix in layers:
        flat[:, pixels] = (matrix @ flat.T).T
    return flat.reshape(counts.shape)
