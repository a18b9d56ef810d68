"""What the ways to look at the detector make of some frames, side by side."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure

from exitwave.analysis.ambiguities import remove_ramp
from exitwave.figures.object import draw_phase, image_height
from exitwave.figures.style import DOUBLE, new_figure, paper, scale_bar
from exitwave.reconstruction.orientation import Orientation

LINE = 26
"""Characters in a line of a title."""
MIDDLE = 0.6
"""Part of the field, along each axis, that is drawn: where the frames that were tried overlap."""


@paper
def orientations_figure(ranking: Sequence[Orientation], pixel: tuple[float, float], *, width: float = DOUBLE) -> Figure:
    """Draw the phase that every orientation of the detector gives to some frames, with its error.

    The right one shows a sample; the others show what is left of it where neighbours contradict each other. Each stands
    for its twin as well, half a turn further.

    Parameters
    ----------
    ranking : sequence of Orientation
        What `exitwave.engine.orientation.rank_orientations` returned.
    pixel : tuple of float
        Pixel size (y, x) in metres.
    width : float
        Width of the figure in millimetres.

    Returns
    -------
    matplotlib.figure.Figure
    """
    fields = [each.object[tuple(_middle(n) for n in each.object.shape)] for each in ranking]
    extent = (max(f.shape[0] for f in fields) * pixel[0], max(f.shape[1] for f in fields) * pixel[1])
    figure = new_figure(width, image_height(width, 1, len(fields), extent, 4) + 4, images=True)
    for axes, each, field in zip(figure.subplots(1, len(fields), squeeze=False)[0], ranking, fields, strict=True):
        level = remove_ramp(field, np.ones(field.shape, bool))[0]
        draw_phase(axes, np.angle(level), pixel)
        axes.set_title(f"{fill(each.words, LINE)}\nerror {each.error:.3g}")
        scale_bar(axes, field.shape[1] * pixel[1], pixel[1])
    return figure


def _middle(length: int) -> slice:
    margin = round(length * (1 - MIDDLE) / 2)
    return slice(margin, length - margin)
