"""Amplitude and phase of the object."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from exitwave.analysis.ambiguities import remove_ramp
from exitwave.analysis.rectangles import bounding_box
from exitwave.figures.registry import Caption, Plot, Subject, register
from exitwave.figures.style import DOUBLE, OUTSIDE, colour_bar, image_panel, letter, new_figure, paper, scale_bar
from exitwave.units import show

Component = Literal["amplitude", "phase"]
PERCENTILE = 0.5
"""Percentage of pixels beyond either end of the colour scale."""
HALF = ListedColormap(mpl.colormaps["twilight"](np.linspace(0.5, 0.0, 256)), "half of twilight")
"""Half of the cyclic colour map, dark to bright, for phases within half a turn."""


@paper
def object_figure(
    object: NDArray[Any],
    pixel: tuple[float, float],
    mask: NDArray[Any] | None = None,
    *,
    parts: tuple[Component, ...] = ("amplitude", "phase"),
    width: float = DOUBLE,
) -> Figure:
    """Draw amplitude and phase of an object, cropped to the covered area; a multislice object has one row per slice.

    The constant and the linear part of the phase are removed for display.

    Parameters
    ----------
    object : ndarray of complex, shape (ny, nx) or (slices, ny, nx)
        Complex transmission.
    pixel : tuple of float
        Pixel size (y, x) in metres.
    mask : ndarray of shape (ny, nx), optional
        Covered area (values above one half); everything by default.
    parts : tuple of str
        What to draw, from left to right.
    width : float
        Width of the figure in millimetres.

    Returns
    -------
    matplotlib.figure.Figure
    """
    slices = object.reshape(-1, *object.shape[-2:])
    inside = np.ones(slices.shape[1:], bool) if mask is None or not np.any(mask > 0.5) else mask > 0.5
    box = bounding_box(inside)
    shape = inside[box].shape
    extent = (shape[0] * pixel[0], shape[1] * pixel[1])
    columns = len(parts)
    figure = new_figure(width, image_height(width, len(slices), columns, extent, 18 * columns), images=True)
    panels = figure.subplots(len(slices), columns, squeeze=False)
    for number, row in enumerate(panels):
        level = remove_ramp(slices[number][box], inside[box])[0]
        for axes, component in zip(row, parts, strict=True):
            _draw_component(axes, component, level, ~inside[box], pixel)
        if len(slices) > 1:
            row[0].set_title(f"{row[0].get_title()}, slice {number + 1}")
    scale_bar(panels[0, 0], extent[1], pixel[1])
    for axes, name in zip(panels.flat if panels.size > 1 else (), "abcdefghijklmnopqrstuvwxyz", strict=False):
        letter(axes, name)
    return figure


def _draw_component(
    axes: Axes, component: Component, level: Any, outside: NDArray[np.bool_], pixel: tuple[float, float]
) -> None:
    """Draw amplitude or phase of an object without phase ramp, with a colour bar."""
    if component == "amplitude":
        colour_bar(axes, draw_amplitude(axes, np.ma.masked_array(np.abs(level), outside), pixel))
    else:
        phase_bar(axes, draw_phase(axes, np.ma.masked_array(np.angle(level), outside), pixel))


def image_height(width: float, rows: int, columns: int, extent: tuple[float, float], beside: float) -> float:
    """Return the height in millimetres of a figure of images with titles and a scale bar.

    Parameters
    ----------
    width : float
        Width of the figure in millimetres.
    rows, columns : int
        Number of images.
    extent : tuple of float
        Height and width of an image, in any unit.
    beside : float
        Width of colour bars and gaps in millimetres.

    Returns
    -------
    float
    """
    side = (width - beside) / columns * min(extent[0] / extent[1], 2.0)
    return rows * (side + 6) + 6


def draw_amplitude(
    axes: Axes, amplitude: Any, pixel: tuple[float, float], limits: tuple[float, float] | None = None
) -> AxesImage:
    """Draw an amplitude in gray; ``limits`` are percentiles by default."""
    low, high = limits or percentiles(amplitude)
    colours = mpl.colormaps["gray"].with_extremes(bad=OUTSIDE)
    image_panel(axes, "Amplitude")
    return axes.imshow(amplitude, cmap=colours, vmin=low, vmax=high, aspect=pixel[0] / pixel[1])


def draw_phase(
    axes: Axes, phase: Any, pixel: tuple[float, float], limits: tuple[float, float] | None = None
) -> AxesImage:
    """Draw a phase in radians with a cyclic colour map, of which a range below a full circle takes one half."""
    low, high = limits or phase_limits(phase)
    colours = (mpl.colormaps["twilight"] if high == np.pi else HALF).with_extremes(bad=OUTSIDE)
    image_panel(axes, "Phase")
    return axes.imshow(phase, cmap=colours, vmin=low, vmax=high, aspect=pixel[0] / pixel[1])


def phase_bar(axes: Axes, image: AxesImage) -> None:
    """Draw the colour bar of a phase; the ticks of a full circle are multiples of pi/2."""
    bar = colour_bar(axes, image, "rad")
    if image.get_clim()[1] == np.pi:
        bar.set_yticks([-np.pi, -np.pi / 2, 0, np.pi / 2, np.pi], ["−π", "−π/2", "0", "π/2", "π"])


def percentiles(values: Any) -> tuple[float, float]:
    """Return the lower and upper limit of a colour scale; those of a constant are slightly apart."""
    low, high = np.percentile(np.ma.compressed(values), [PERCENTILE, 100 - PERCENTILE])
    margin = max(1e-3 * abs(high), 1e-6) if high - low < 1e-3 * abs(high) or high == low else 0.0
    return float(low - margin), float(high + margin)


def phase_limits(phase: Any) -> tuple[float, float]:
    """Return the limits of a phase in radians: percentiles, or the full circle if these are more than pi apart."""
    low, high = percentiles(phase)
    return (-np.pi, np.pi) if high - low > np.pi else (low, high)


@register(order=40)
def _plots(subject: Subject) -> Iterator[Plot]:
    result = subject.result
    if result is None:
        return
    pixel, (rows, columns) = result.object_pixel, result.object.shape[-2:]
    draw = partial(object_figure, result.object, pixel, result.mask)
    size = f"{rows} x {columns} pixels of {show(pixel[0], 'm', 3)} x {show(pixel[1], 'm', 3)}"
    ramp = "The constant and the linear part of the phase are removed for display."
    if result.slices > 1:
        text = f"Amplitude and phase of {result.slices} slices"
        yield Plot(draw, "object", Caption("Object", text, f"{text}, {size}. {ramp}", wide=True))
        return
    yield Plot(draw, "object")
    amplitude = Caption("Object", f"Amplitude of the object, {size}", f"Amplitude of the object, {size}.")
    yield Plot(partial(draw, parts=("amplitude",), width=DOUBLE / 2), caption=amplitude)
    phase = Caption("Object", f"Phase of the object, {size}", f"Phase of the object. {ramp}")
    yield Plot(partial(draw, parts=("phase",), width=DOUBLE / 2), caption=phase)
