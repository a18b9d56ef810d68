"""The part of the frames that holds coherent signal, with zero frequency at n//2, in bins where that is wanted."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from exitwave.errors import InputError
from exitwave.frames import View
from exitwave.optics import fraunhofer
from exitwave.optics.probes import fill
from exitwave.positions.grid import object_grid
from exitwave.preparation.survey import Progress, Survey, survey
from exitwave.preparation.view import apply_view
from exitwave.scan import Decision, Scan

Size = int | Literal["auto"] | None
SMALLEST = 32
"""Pixels along a side of the smallest window that is found."""
WORTH = 0.3
"""Photons of a structure of the sample, in all frames together, less than which say nothing of it."""
OUTSIDE = 1e-3
"""Most of the counts that may lie beyond the window."""


def crop(
    scan: Scan,
    size: Size = "auto",
    *,
    bin: int = 1,
    centre: tuple[float, float] | None = None,
    found: Survey | None = None,
    progress: Progress | None = None,
) -> Scan:
    """Return a scan whose frames are cut to a square about zero frequency, as far as there is one, and binned by sums.

    Parameters
    ----------
    scan : Scan
        The scan. In the near field nothing is centred, and a size must be given to cut.
    size : int, "auto" or None
        Pixels along a side before binning, also more than there are; auto: the smallest fast size that holds all
        signal; None: all pixels, centred.
    bin : int
        Pixels that are summed along each axis.
    centre : tuple of float, optional
        Row and column of zero frequency; else it is found, see `find_centre`.
    found : Survey, optional
        What is known of the frames; else they are looked at.
    progress : callable, optional
        As `survey`.

    Returns
    -------
    Scan
        The scan itself where there is nothing to do.

    Raises
    ------
    InputError
        If the frames hold no counts, or less than 2 x 2 pixels would be left.
    """
    ny, nx = scan.patterns.shape[1:]
    if scan.near:
        middle, n = (ny // 2, nx // 2), None if size == "auto" else size
    else:
        known = found or survey(scan, progress)
        mean = mean_pattern(scan, known)
        row, column = centre or find_centre(mean)
        near = max(abs(row - ny // 2), abs(column - nx // 2)) < 1  # which is a tilt of the probe like any other
        middle = (ny // 2, nx // 2) if near else (round(row), round(column))
        n = signal_size(scan, mean, middle, bin) if size == "auto" else size
    sides = [side if n is None else n if size != "auto" else min(n, side) for side in (ny, nx)]
    view = View(rows=_window(middle[0], sides[0], bin), columns=_window(middle[1], sides[1], bin), bin=bin)
    if view == View(rows=(0, ny), columns=(0, nx)):
        return scan
    seen = apply_view(scan, view)
    if not scan.near and middle != (ny // 2, nx // 2) and scan.probe is not None:
        seen = replace(seen, probe=_on_axis(scan, seen, middle, bin))
    numbers: dict[str, Any] = {"centre": list(middle), "size": list(view.window((ny, nx))), "bin": bin}
    shape = " x ".join(map(str, seen.patterns.shape[1:]))
    off = f", zero frequency from {middle}" if middle != (ny // 2, nx // 2) else ""
    step = Decision("crop", "cropped", numbers, f"frames of {ny} x {nx} become {shape}{off}" + ", binned" * (bin > 1))
    return replace(seen, preparation=(*seen.preparation, step))


def _window(middle: int, size: int, bin: int) -> tuple[int, int]:
    """Return first and last of so many pixels, with the middle at bin n//2; it may reach beyond the frame."""
    kept = size - size % bin
    start = middle - (kept // bin // 2) * bin
    return start, start + kept


def mean_pattern(scan: Scan, found: Survey) -> NDArray[np.float64]:
    """Return the mean pattern without dark frame, bad pixels filled from their neighbours, shape (ny, nx).

    Raises
    ------
    InputError
        If it holds no counts.
    """
    good = scan.detector.always_good & (found.valid > 0)
    mean = np.where(good, scan.detector.without_dark(found.mean), 0)
    if not mean.sum() > 0:
        remedy = "Check the mask (0 is good, 1 is bad; --set mask=inverted) and the frames themselves"
        raise InputError("The frames hold no counts", where=str(scan.path or ""), found="no photon", remedy=remedy)
    return fill(mean, good)


def find_centre(mean: NDArray[np.float64]) -> tuple[float, float]:
    """Return row and column of zero frequency, to half a pixel: about it the mean pattern is symmetric.

    The pupil of a lens, a ring or a disc, looks the same turned by 180 degrees, and the mean over the sample's places
    shows little else. Of all points the best is where the amplitude A agrees most with itself turned about it:
    the maximum of sum A(c + q) A(c - q), which is the convolution of A with itself.

    Parameters
    ----------
    mean : ndarray of shape (ny, nx)
        Mean pattern without background or bad pixels.
    """
    amplitude = np.sqrt(np.maximum(mean, 0))
    amplitude = (
        np.maximum(amplitude - np.median(amplitude), 0) if np.median(amplitude) < amplitude.mean() else amplitude
    )
    shape = [2 * n for n in mean.shape]
    spectrum = fft.rfft2(amplitude, shape)
    folded = fft.irfft2(spectrum**2, shape)
    row, column = np.unravel_index(int(np.argmax(folded)), folded.shape)
    return row / 2, column / 2


def signal_size(scan: Scan, mean: NDArray[np.float64], middle: tuple[int, int], bin: int) -> int:
    """Return the side of the smallest window about zero frequency that holds the signal: a fast size, times the bin.

    A structure of the sample is seen in so many frames, whose photons together tell of it. Signal is where these are
    at least `WORTH`, of a noise of signal and dark counts; and no more than `OUTSIDE` of the counts lie beyond.
    """
    ny, nx = mean.shape
    rows, columns = (np.abs(np.arange(n) - c) for n, c in zip(mean.shape, middle, strict=True))
    distance = np.maximum(rows[:, None], columns)
    number = np.bincount(distance.ravel())
    signal = np.bincount(distance.ravel(), mean.ravel()) / np.maximum(number, 1)
    dark = scan.detector.dark
    noise = 0 if dark is None else float(np.median(dark))
    y, x = object_grid(scan.positions, (ny, nx), scan.object_pixel, margin=0)
    times = len(scan.patterns) * ny * nx / (len(y) * len(x))  # that a place of the sample is seen
    worth = signal**2 / np.maximum(signal + noise, 1e-300) * times >= WORTH
    beyond = np.cumsum((signal * number)[::-1])[::-1] / max(float((signal * number).sum()), 1e-300)
    needed = np.flatnonzero(worth | (beyond > OUTSIDE))
    reach = int(needed.max(initial=0)) + 1
    side = fft.next_fast_len(max(-(-2 * reach // bin), -(-SMALLEST // bin)))
    while side % 2:
        side = fft.next_fast_len(side + 1)
    return min(int(side * bin), max(ny, nx))


def _on_axis(scan: Scan, seen: Scan, middle: tuple[int, int], bin: int) -> Any:
    """Return the probe of the seen scan: if the frames were off centre and it was not, it stays on the axis."""
    assert scan.probe is not None
    ny, nx = scan.patterns.shape[1:]
    power = (np.abs(fraunhofer(scan.probe.astype(np.complex128))) ** 2).sum(axis=0)
    own = np.array(find_centre(power)) if power.shape == (ny, nx) and power.sum() > 0 else np.array(middle)
    axis = np.array([ny // 2, nx // 2])
    if np.linalg.norm(own - middle) <= np.linalg.norm(own - axis):
        return seen.probe
    size = [n * bin for n in seen.patterns.shape[1:]]
    windows = [_window(int(axis[k]), size[k], bin) for k in range(2)]
    return apply_view(scan, View(rows=windows[0], columns=windows[1], bin=bin)).probe
