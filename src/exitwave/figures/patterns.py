"""Patterns: mean of a sample of the frames, one frame, and the sum of all frames."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from exitwave.figures.registry import Caption, Plot, Subject, register
from exitwave.figures.style import DOUBLE, MICRO, colour_bar, letter, new_figure, paper
from exitwave.frames import valid_counts
from exitwave.scan import Scan

SAMPLE = 256
"""Largest number of evenly spaced frames in the mean, which limits the time for large scans."""
MASKED = "#3fb8c9"
"""Colour of bad pixels, which is not in the colour map."""


@paper
def patterns_figure(scan: Scan, *, frame: int | None = None, width: float = DOUBLE) -> Figure:
    """Draw the mean pattern and one frame on a logarithmic scale, with bad pixels in a separate colour.

    Parameters
    ----------
    scan : Scan
        The scan.
    frame : int, optional
        Index of the frame; by default the middle one.
    width : float
        Width of the figure in millimetres.

    Returns
    -------
    matplotlib.figure.Figure
    """
    number = len(scan.patterns)
    frame = number // 2 if frame is None else frame
    chosen = np.unique(np.linspace(0, number - 1, min(number, SAMPLE)).round().astype(int))
    mean = np.zeros(scan.patterns.shape[1:])
    for counts in scan.patterns.pick(chosen):
        mean += _valid(counts) / len(chosen)
    ny, nx = scan.patterns.shape[1:]
    bad = np.count_nonzero(~scan.detector.always_good)
    figure = new_figure(width, (0.5 * width - 30) * min(ny / nx, 2) + (26 if bad else 18), images=True)
    left, right = figure.subplots(1, 2)
    _draw(left, scan, mean, f"Mean of {len(chosen)} frames" if len(chosen) < number else f"Mean of all {number} frames")
    _draw(right, scan, _valid(scan.patterns[frame]), f"Frame {frame}")
    letter(left, "a")
    letter(right, "b")
    if bad:
        patch = Patch(color=MASKED, label=f"{bad} masked pixel{'s' if bad > 1 else ''}")
        figure.legend(handles=[patch], loc="outside lower center", handlelength=1.0, handleheight=1.0)
    return figure


@paper
def sum_figure(scan: Scan, total: NDArray[np.float64], *, width: float = DOUBLE) -> Figure:
    """Draw the sum of the frames of a scan on a logarithmic scale, with bad pixels in a separate colour.

    Parameters
    ----------
    scan : Scan
        The scan.
    total : ndarray of shape (ny, nx)
        Sum of the frames.
    width : float
        Width of the figure in millimetres.

    Returns
    -------
    matplotlib.figure.Figure
    """
    ny, nx = total.shape
    figure = new_figure(width, (width - 30) * min(ny / nx, 2) + 18, images=True)
    _draw(figure.subplots(), scan, total, f"Sum of {len(scan.used_frames)} frames")
    return figure


def _valid(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return the counts of a frame, with zero in place of invalid counts."""
    return np.where(valid_counts(counts), counts, 0.0).astype(np.float64)


def _draw(axes: Axes, scan: Scan, counts: NDArray[np.float64], title: str) -> None:
    good = scan.detector.always_good
    positive = counts[good & (counts > 0)]
    low, high = (float(positive.min()), float(positive.max())) if positive.size else (1.0, 1.0)
    low = max(low, high * 1e-7)
    image = axes.imshow(
        np.ma.masked_array(np.maximum(counts, low), mask=~good),
        cmap=mpl.colormaps["inferno"].with_extremes(bad=MASKED),
        norm=LogNorm(low, max(high, 10 * low)),
        extent=_extent(scan),
    )
    axes.locator_params(nbins=5, steps=[1, 2, 5, 10])
    xlabel, ylabel = ("$x$ (µm)", "$y$ (µm)") if scan.near else ("$q_x$ (µm⁻¹)", "$q_y$ (µm⁻¹)")
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    colour_bar(axes, image, "Counts")


def _extent(scan: Scan) -> tuple[float, float, float, float]:
    """Return the edges of the detector (left, right, bottom, top), zero at index n//2.

    In the far field they are spatial frequencies in 1/um: a pixel is 1/(n * object pixel). In the near field they are
    in um at the sample, where a pixel is an object pixel.
    """
    edges = []
    for n, pixel in zip(scan.patterns.shape[:0:-1], scan.object_pixel[::-1], strict=True):
        step = pixel * MICRO if scan.near else 1 / (n * pixel * MICRO)
        edges += [(-(n // 2) - 0.5) * step, (n - n // 2 - 0.5) * step]
    return edges[0], edges[1], edges[2], edges[3]


@register(order=30)
def _plots(subject: Subject) -> Iterator[Plot]:
    if subject.has_patterns:
        kind = "image" if subject.scan.near else "diffraction pattern"
        text = "Mean pattern and one frame, logarithmic scale."
        caption = Caption("Patterns", f"Mean {kind} and one frame", text, wide=True)
        yield Plot(partial(patterns_figure, subject.scan), "patterns", caption)
