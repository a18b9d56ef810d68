"""Comparison of a result with the truth or another result: both objects and their difference."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from exitwave.analysis.compare import Comparison
from exitwave.analysis.rectangles import bounding_box
from exitwave.figures.object import draw_amplitude, draw_phase, image_height, percentiles, phase_bar, phase_limits
from exitwave.figures.registry import Plot, Subject, register
from exitwave.figures.style import DOUBLE, OUTSIDE, colour_bar, image_panel, letter, new_figure, paper, scale_bar


@paper
def comparison_figure(comparison: Comparison, *, width: float = DOUBLE) -> Figure:
    """Draw amplitude and phase of the reference, of the aligned result and of their difference.

    Parameters
    ----------
    comparison : Comparison
        Result of `exitwave.analysis.compare.compare`.
    width : float
        Width of the figure in millimetres.

    Returns
    -------
    matplotlib.figure.Figure
    """
    box = bounding_box(comparison.area)
    outside = ~comparison.area[box]
    pixel = comparison.pixel
    pair = [np.ma.masked_array(wave[box], outside) for wave in (comparison.reference, comparison.object)]
    extent = (outside.shape[0] * pixel[0], outside.shape[1] * pixel[1])
    figure = new_figure(width, image_height(width, 2, 3, extent, 38), images=True)
    panels = figure.subplots(2, 3)
    amplitudes, phases = [np.abs(wave) for wave in pair], [np.ma.angle(wave) for wave in pair]
    scale, angles = percentiles(amplitudes[0]), phase_limits(phases[0])
    above = [draw_amplitude(panels[0, k], amplitudes[k], pixel, scale) for k in range(2)]
    below = [draw_phase(panels[1, k], phases[k], pixel, angles) for k in range(2)]
    colour_bar(panels[0, 1], above[1])
    phase_bar(panels[1, 1], below[1])
    _draw_difference(panels[0, 2], amplitudes[1] - amplitudes[0], pixel, "Amplitude")
    _draw_difference(panels[1, 2], np.ma.angle(pair[1] * np.conj(pair[0])), pixel, "Phase", "rad")
    names = ["truth" if comparison.against_truth else "reference", "result", "difference"]
    for index, axes in enumerate(panels.flat):
        axes.set_title(f"{axes.get_title()}, {names[index % 3]}")
        letter(axes, "abcdef"[index])
    scale_bar(panels[1, 0], extent[1], pixel[1])
    return figure


def _draw_difference(axes: Axes, values: Any, pixel: tuple[float, float], title: str, unit: str = "") -> None:
    low, high = percentiles(values)
    limit = max(-low, high, 1e-6)
    colours = mpl.colormaps["RdBu_r"].with_extremes(bad=OUTSIDE)
    image = axes.imshow(values, cmap=colours, vmin=-limit, vmax=limit, aspect=pixel[0] / pixel[1])
    image_panel(axes, title)
    colour_bar(axes, image, unit)


@register(order=90)
def _plots(subject: Subject) -> Iterator[Plot]:
    if subject.comparison is not None:
        yield Plot(partial(comparison_figure, subject.comparison), "comparison")
