"""Crop the patterns to the pixels with signal, with zero frequency at n//2, and bin them."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from exitwave.errors import InputError
from exitwave.frames import View
from exitwave.optics import fraunhofer
from exitwave.optics.probes import fill_bad_pixels
from exitwave.positions.grid import object_grid
from exitwave.preparation.survey import Progress, Survey, survey_frames
from exitwave.preparation.view import apply_view
from exitwave.scan import Decision, Scan

Size = int | Literal["auto"] | None
SMALLEST_SIDE = 32
"""Pixels along a side of the smallest window that is chosen."""
LEAST_PHOTONS = 0.3
"""Photons of a structure of the sample, in all frames together, below which it is not resolved."""
OUTSIDE = 1e-3
"""Largest fraction of the counts that may lie beyond the window."""


def crop_frames(
    scan: Scan,
    size: Size = "auto",
    *,
    bin: int = 1,
    centre: tuple[float, float] | None = None,
    survey: Survey | None = None,
    progress: Progress | None = None,
) -> Scan:
    """Return a scan whose patterns are cropped to a square with zero frequency at n//2, and binned by sums.

    Parameters
    ----------
    scan : Scan
        The scan. In the near field nothing is centred, and nothing is cropped unless a size is given.
    size : int, "auto" or None
        Pixels along a side before binning; it may be larger than the frame. auto: the smallest size with fast Fourier
        transforms that contains all signal. None: all pixels, centred.
    bin : int
        Number of pixels that are summed along each axis.
    centre : tuple of float, optional
        Row and column of zero frequency; without it, see `find_centre`.
    survey : Survey, optional
        Statistics of the frames; computed where not given.
    progress : callable, optional
        As in `survey_frames`.

    Returns
    -------
    Scan
        The scan itself where nothing changes.

    Raises
    ------
    InputError
        If the frames have no counts, or less than 2 x 2 pixels would be left.
    """
    ny, nx = scan.patterns.shape[1:]
    if scan.near:
        middle, n = (ny // 2, nx // 2), None if size == "auto" else size
    else:
        mean = mean_pattern(scan, survey or survey_frames(scan, progress))
        row, column = centre or find_centre(mean)
        centred = max(abs(row - ny // 2), abs(column - nx // 2)) < 1  # the rest is a phase ramp of the probe
        middle = (ny // 2, nx // 2) if centred else (round(row), round(column))
        n = signal_size(scan, mean, middle, bin) if size == "auto" else size
    sides = [side if n is None else n if size != "auto" else min(n, side) for side in (ny, nx)]
    view = View(rows=_window(middle[0], sides[0], bin), columns=_window(middle[1], sides[1], bin), bin=bin)
    if view == View(rows=(0, ny), columns=(0, nx)):
        return scan
    cropped = apply_view(scan, view)
    if not scan.near and middle != (ny // 2, nx // 2) and scan.probe is not None:
        cropped = replace(cropped, probe=_centred_probe(scan, cropped, middle, bin))
    numbers: dict[str, Any] = {"centre": list(middle), "size": list(view.window((ny, nx))), "bin": bin}
    shape = " x ".join(map(str, cropped.patterns.shape[1:]))
    moved = f", zero frequency moved from {middle}" if middle != (ny // 2, nx // 2) else ""
    decision = Decision(
        "crop", "cropped", numbers, f"frames of {ny} x {nx} become {shape}{moved}" + ", binned" * (bin > 1)
    )
    return replace(cropped, preparation=(*cropped.preparation, decision))


def _window(middle: int, size: int, bin: int) -> tuple[int, int]:
    """Return the range [first, last + 1] of pixels with the middle at bin n//2; it may reach beyond the frame."""
    kept = size - size % bin
    start = middle - (kept // bin // 2) * bin
    return start, start + kept


def mean_pattern(scan: Scan, survey: Survey) -> NDArray[np.float64]:
    """Return the mean pattern, shape (ny, nx): dark frame subtracted, bad pixels filled from their neighbours.

    Raises
    ------
    InputError
        If it has no counts.
    """
    good = scan.detector.always_good & (survey.valid > 0)
    mean = np.where(good, scan.detector.without_dark(survey.mean), 0)
    if not mean.sum() > 0:
        remedy = "Check the mask (0 is good, 1 is bad; --set mask=inverted) and the counts of the frames"
        found = "sum 0 over the good pixels"
        raise InputError("The frames have no counts", where=scan.path or "", found=found, remedy=remedy)
    return fill_bad_pixels(mean, good)


def find_centre(mean: NDArray[np.float64]) -> tuple[float, float]:
    """Return row and column of zero frequency, to half a pixel: the centre of symmetry of the mean pattern.

    The pupil of a lens, a ring or a disc, is symmetric under a rotation by 180 degrees, and it dominates the mean over
    all positions on the sample. The centre c is where the amplitude A agrees best with itself after this rotation: the
    maximum of sum A(c + q) A(c - q), which is the convolution of A with itself.

    Parameters
    ----------
    mean : ndarray of shape (ny, nx)
        Mean pattern without background and bad pixels.
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
    """Return the side in pixels of the smallest window about zero frequency that contains the signal.

    It is a size with fast Fourier transforms, times the bin. A structure of the sample is in several frames, whose
    photons add up. Signal is where signal^2 / (signal + dark), summed over these frames, is at least `LEAST_PHOTONS`.
    No more than `OUTSIDE` of the counts lie beyond the window.
    """
    ny, nx = mean.shape
    rows, columns = (np.abs(np.arange(n) - c) for n, c in zip(mean.shape, middle, strict=True))
    distance = np.maximum(rows[:, None], columns)
    number = np.bincount(distance.ravel())
    signal = np.bincount(distance.ravel(), mean.ravel()) / np.maximum(number, 1)
    dark = scan.detector.dark
    noise = 0 if dark is None else float(np.median(dark))
    y, x = object_grid(scan.positions, (ny, nx), scan.object_pixel, margin=0)
    times = len(scan.patterns) * ny * nx / (len(y) * len(x))  # frames that illuminate one point of the sample
    resolved = signal**2 / np.maximum(signal + noise, 1e-300) * times >= LEAST_PHOTONS
    beyond = np.cumsum((signal * number)[::-1])[::-1] / max(float((signal * number).sum()), 1e-300)
    needed = np.flatnonzero(resolved | (beyond > OUTSIDE))
    reach = int(needed.max(initial=0)) + 1
    side = fft.next_fast_len(max(-(-2 * reach // bin), -(-SMALLEST_SIDE // bin)))
    while side % 2:
        side = fft.next_fast_len(side + 1)
    return min(int(side * bin), max(ny, nx))


def _centred_probe(scan: Scan, cropped: Scan, middle: tuple[int, int], bin: int) -> Any:
    """Return the probe of the cropped scan, with its far field centred.

    If the far field of the probe was off centre as the patterns were, it is shifted with them. If it was centred, it
    is not shifted.
    """
    assert scan.probe is not None
    ny, nx = scan.patterns.shape[1:]
    power = (np.abs(fraunhofer(scan.probe.astype(np.complex128))) ** 2).sum(axis=0)
    centre = np.array(find_centre(power)) if power.shape == (ny, nx) and power.sum() > 0 else np.array(middle)
    axis = np.array([ny // 2, nx // 2])
    if np.linalg.norm(centre - middle) <= np.linalg.norm(centre - axis):
        return cropped.probe
    size = [n * bin for n in cropped.patterns.shape[1:]]
    windows = [_window(int(axis[k]), size[k], bin) for k in range(2)]
    return apply_view(scan, View(rows=windows[0], columns=windows[1], bin=bin)).probe
