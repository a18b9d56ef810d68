"""How well the sample was illuminated."""

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from exitwave.analysis.frame_accounting import USED, account_for_frames
from exitwave.analysis.rectangles import bounding_box
from exitwave.figures.style import GREY, MICRO, OUTSIDE, SINGLE, colour_bar, new_figure, paper
from exitwave.positions.coverage import coverage
from exitwave.scan import Result

FAINT = 1e-3
"""Illumination that is still drawn, relative to the brightest."""


@paper
def coverage_figure(result: Result, *, width: float = SINGLE) -> Figure:
    """Draw the photons that every pixel of the object has received, and the edge of what counts as covered.

    The frames that were used count, with the probe and the positions that were found.

    Parameters
    ----------
    result : Result
        The result.
    width : float
        Width of the figure in millimetres.

    Returns
    -------
    matplotlib.figure.Figure
    """
    used = result.positions[account_for_frames(result)[USED]]
    y, x, photons = coverage(used, result.probe, result.object_pixel)
    rows, columns = bounding_box(photons > FAINT * photons.max())
    seen, pixel = photons[rows, columns], np.array(result.object_pixel) * MICRO
    left, right, low, high = (axis[i] * MICRO for axis in (x[columns], y[rows]) for i in (0, -1))
    extent = (left - pixel[1] / 2, right + pixel[1] / 2, low - pixel[0] / 2, high + pixel[0] / 2)
    figure = new_figure(width, 0.82 * width, images=True)
    axes = figure.subplots()
    bright = float(seen.max())
    image = axes.imshow(
        np.ma.masked_less(seen, FAINT * bright),
        cmap=mpl.colormaps["viridis"].with_extremes(bad=OUTSIDE),
        norm=LogNorm(FAINT * bright, bright),
        extent=extent,
    )
    if 0 < result.mask.mean() < 1:
        axes.contour(result.x * MICRO, result.y * MICRO, result.mask, [0.5], colors="white", linewidths=0.8)
    axes.set(xlabel="x (µm)", ylabel="y (µm)", aspect="equal", title="Photons on every pixel", xlim=extent[:2])
    axes.set_ylim(*extent[2:])
    axes.tick_params(color=GREY)
    colour_bar(axes, image, "Photons")
    return figure
