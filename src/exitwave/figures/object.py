"""The complex image of the sample."""

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
from exitwave.figures.style import DOUBLE, OUTSIDE, colour_bar, image_panel, letter, new_figure, paper, scale_bar

Part = Literal["amplitude", "phase"]
PERCENTILE = 0.5
"""Share of pixels, in percent, that may lie beyond either end of the colours."""
HALF = ListedColormap(mpl.colormaps["twilight"](np.linspace(0.5, 0.0, 256)), "half of twilight")
"""The dark to bright half of the cyclic map, for phases that stay within half a turn: one colour, one phase."""


@paper
def object_figure(
    object: NDArray[Any],
    pixel: tuple[float, float],
    mask: NDArray[Any] | None = None,
    *,
    parts: tuple[Part, ...] = ("amplitude", "phase"),
    width: float = DOUBLE,
) -> Figure:
    """Draw amplitude and phase of an object, cropped to where the beam has been; of a thick one slice by slice.

    The constant and the linear part of the phase are removed for display only.

    Parameters
    ----------
    object : ndarray of complex, shape (ny, nx) or (slices, ny, nx)
        Complex transmission.
    pixel : tuple of float
        Pixel size (y, x) in metres.
    mask : ndarray of shape (ny, nx), optional
        Where the beam has been, above one half; everywhere by default.
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
        for axes, part in zip(row, parts, strict=True):
            _draw_part(axes, part, level, ~inside[box], pixel)
        if len(slices) > 1:
            row[0].set_title(f"{row[0].get_title()}, slice {number + 1}")
    scale_bar(panels[0, 0], extent[1], pixel[1])
    for axes, name in zip(panels.flat if panels.size > 1 else (), "abcdefghijklmnopqrstuvwxyz", strict=False):
        letter(axes, name)
    return figure


def _draw_part(axes: Axes, part: Part, level: Any, outside: NDArray[np.bool_], pixel: tuple[float, float]) -> None:
    """Draw amplitude or phase of an object without its ramp, with a colour bar."""
    if part == "amplitude":
        colour_bar(axes, draw_amplitude(axes, np.ma.masked_array(np.abs(level), outside), pixel))
    else:
        phase_bar(axes, draw_phase(axes, np.ma.masked_array(np.angle(level), outside), pixel))


def image_height(width: float, rows: int, columns: int, extent: tuple[float, float], beside: float) -> float:
    """Height in millimetres of a figure of images with titles and a scale bar.

    Parameters
    ----------
    width : float
        Width of the figure in millimetres.
    rows, columns : int
        Number of images.
    extent : tuple of float
        Height and width of an image, in any unit.
    beside : float
        Millimetres that colour bars and gaps take from the width.

    Returns
    -------
    float
    """
    side = (width - beside) / columns * min(extent[0] / extent[1], 2.0)
    return rows * (side + 6) + 6


def draw_amplitude(
    axes: Axes, amplitude: Any, pixel: tuple[float, float], limits: tuple[float, float] | None = None
) -> AxesImage:
    """Draw an amplitude in gray, with percentile contrast unless ``limits`` are given."""
    low, high = limits or percentiles(amplitude)
    colours = mpl.colormaps["gray"].with_extremes(bad=OUTSIDE)
    image_panel(axes, "Amplitude")
    return axes.imshow(amplitude, cmap=colours, vmin=low, vmax=high, aspect=pixel[0] / pixel[1])


def draw_phase(
    axes: Axes, phase: Any, pixel: tuple[float, float], limits: tuple[float, float] | None = None
) -> AxesImage:
    """Draw a phase in radians in a cyclic map: the whole of it for a full circle, its half for a smaller range."""
    low, high = limits or phase_limits(phase)
    colours = (mpl.colormaps["twilight"] if high == np.pi else HALF).with_extremes(bad=OUTSIDE)
    image_panel(axes, "Phase")
    return axes.imshow(phase, cmap=colours, vmin=low, vmax=high, aspect=pixel[0] / pixel[1])


def phase_bar(axes: Axes, image: AxesImage) -> None:
    """Draw the colour bar of a phase, in parts of pi for a full circle."""
    bar = colour_bar(axes, image, "rad")
    if image.get_clim()[1] == np.pi:
        bar.set_yticks([-np.pi, -np.pi / 2, 0, np.pi / 2, np.pi], ["−π", "−π/2", "0", "π/2", "π"])


def percentiles(values: Any) -> tuple[float, float]:
    """Lower and upper limit of the colours; a constant gets a little room."""
    low, high = np.percentile(np.ma.compressed(values), [PERCENTILE, 100 - PERCENTILE])
    room = max(1e-3 * abs(high), 1e-6) if high - low < 1e-3 * abs(high) or high == low else 0.0
    return float(low - room), float(high + room)


def phase_limits(phase: Any) -> tuple[float, float]:
    """Limits of the colours in radians: the full circle for a strong phase object, percentiles for a weak one."""
    low, high = percentiles(phase)
    return (-np.pi, np.pi) if high - low > np.pi else (low, high)
