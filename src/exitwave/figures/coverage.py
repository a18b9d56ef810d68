"""Coverage of the sample: photons on every pixel of the object."""

from collections.abc import Iterator
from functools import partial

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from exitwave.analysis.frame_accounting import USED, account_for_frames
from exitwave.analysis.rectangles import bounding_box
from exitwave.figures.registry import Caption, Plot, Subject, register
from exitwave.figures.style import GREY, MICRO, OUTSIDE, SINGLE, colour_bar, new_figure, paper
from exitwave.positions.coverage import coverage
from exitwave.scan import Result

FAINT = 1e-3
"""Smallest number of photons that is drawn, relative to the largest."""


@paper
def coverage_figure(result: Result, *, width: float = SINGLE) -> Figure:
    """Draw the photons on every pixel of the object, and the edge of the covered area.

    They follow from the probe and the refined positions of the used frames.

    Parameters
    ----------
    result : Result
        The result; it must have a probe.
    width : float
        Width of the figure in millimetres.

    Returns
    -------
    matplotlib.figure.Figure
    """
    used = result.positions[account_for_frames(result)[USED]]
    y, x, photons = coverage(used, result.probe, result.object_pixel)
    rows, columns = bounding_box(photons > FAINT * photons.max())
    shown, pixel = photons[rows, columns], np.array(result.object_pixel) * MICRO
    left, right, low, high = (axis[i] * MICRO for axis in (x[columns], y[rows]) for i in (0, -1))
    extent = (left - pixel[1] / 2, right + pixel[1] / 2, low - pixel[0] / 2, high + pixel[0] / 2)
    figure = new_figure(width, 0.82 * width, images=True)
    axes = figure.subplots()
    brightest = float(shown.max())
    image = axes.imshow(
        np.ma.masked_less(shown, FAINT * brightest),
        cmap=mpl.colormaps["viridis"].with_extremes(bad=OUTSIDE),
        norm=LogNorm(FAINT * brightest, brightest),
        extent=extent,
    )
    if 0 < result.mask.mean() < 1:
        axes.contour(result.x * MICRO, result.y * MICRO, result.mask, [0.5], colors="white", linewidths=0.8)
    axes.set(xlabel="x (µm)", ylabel="y (µm)", aspect="equal", title="Photons per object pixel", xlim=extent[:2])
    axes.set_ylim(*extent[2:])
    axes.tick_params(color=GREY)
    colour_bar(axes, image, "Photons")
    return figure


@register(order=60)
def _plots(subject: Subject) -> Iterator[Plot]:
    result = subject.result
    if result is None or not result.probe.any():
        return
    area = float(result.mask.sum()) * result.object_pixel[0] * result.object_pixel[1] * MICRO**2
    title = "Photons per object pixel"
    text = f"{title}, logarithmic scale. The white line is the edge of the covered area, {area:.3g} µm²."
    caption = Caption("Positions and coverage", title, text)
    yield Plot(partial(coverage_figure, result), "coverage", caption)
