"""Test of the detector orientation: the phase that each orientation gives, side by side."""

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from exitwave.analysis.ambiguities import remove_ramp
from exitwave.figures.object import draw_phase, image_height
from exitwave.figures.style import DOUBLE, new_figure, paper, scale_bar

if TYPE_CHECKING:  # slow to import because of Numba
    from exitwave.reconstruction.orientation import Orientation

LINE = 26
"""Largest number of characters in a line of a title."""
MIDDLE = 0.6
"""Part of the field that is drawn, along each axis: there the tested frames overlap."""


@paper
def orientations_figure(
    ranking: Sequence["Orientation"], pixel: tuple[float, float], *, width: float = DOUBLE
) -> Figure:
    """Draw the phase that every orientation of the detector gives for a few frames, with its error.

    The correct orientation shows the sample. Wrong orientations show artefacts, because neighbouring frames contradict
    each other. Every orientation also stands for the one rotated by half a turn.

    Parameters
    ----------
    ranking : sequence of Orientation
        Result of `exitwave.reconstruction.orientation.rank_orientations`.
    pixel : tuple of float
        Pixel size (y, x) in metres.
    width : float
        Width of the figure in millimetres.

    Returns
    -------
    matplotlib.figure.Figure
    """
    fields = [orientation.object[tuple(_middle(n) for n in orientation.object.shape)] for orientation in ranking]
    extent = (max(f.shape[0] for f in fields) * pixel[0], max(f.shape[1] for f in fields) * pixel[1])
    figure = new_figure(width, image_height(width, 1, len(fields), extent, 4) + 4, images=True)
    panels = figure.subplots(1, len(fields), squeeze=False)[0]
    for axes, orientation, field in zip(panels, ranking, fields, strict=True):
        level = remove_ramp(field, np.ones(field.shape, bool))[0]
        draw_phase(axes, np.angle(level), pixel)
        axes.set_title(f"{fill(orientation.name, LINE)}\nerror {orientation.error:.3g}")
        scale_bar(axes, field.shape[1] * pixel[1], pixel[1])
    return figure


def _middle(length: int) -> slice:
    """Return the indices of the part `MIDDLE` of an axis."""
    margin = round(length * (1 - MIDDLE) / 2)
    return slice(margin, length - margin)
