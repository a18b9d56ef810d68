"""Style and sizes of all figures, parts that they share, and saving."""

import contextlib
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation, blended_transform_factory

from exitwave.outputs import atomic
from exitwave.units import show

SINGLE = 85.0
"""Width of one column of a journal in millimetres."""
DOUBLE = 170.0
"""Width of two columns in millimetres."""
DPI = 300
"""Dots per inch of a saved figure."""
MICRO = 1e6
"""Micrometres in a metre."""
BELOW = 9.0
"""Points between an image and the scale bar below it."""
OUTSIDE = "0.93"
"""Colour of pixels that are not covered."""
BLUE, ORANGE, GREY = "#1f5fa8", "#d1661f", "0.45"
"""Colours of lines."""

_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.formatter.useoffset": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "xtick.direction": "out",
    "ytick.direction": "out",
    "lines.linewidth": 1.0,
    "image.interpolation": "nearest",
    "image.origin": "lower",
    "figure.dpi": 150,
    "savefig.dpi": DPI,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
}

P = ParamSpec("P")


@contextlib.contextmanager
def look() -> Iterator[None]:
    """Apply the style of the figures, independent of the user's matplotlibrc, and restore all settings afterwards."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def paper(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Decorate a function that draws a figure, so that it uses the style of this module."""

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with look():
            return draw(*args, **kwargs)

    return styled


def new_figure(width: float, height: float, *, images: bool = False) -> Figure:
    """Return an empty figure of a size in millimetres; ``images`` selects the layout for panels of fixed aspect."""
    figure = Figure(figsize=(width / 25.4, height / 25.4), layout="compressed" if images else "constrained")
    FigureCanvasAgg(figure)
    return figure


def letter(axes: Axes, name: str) -> None:
    """Write a bold panel letter above the upper left corner of a panel."""
    axes.set_title(name, loc="left", fontweight="bold")


def image_panel(axes: Axes, title: str) -> None:
    """Remove the ticks of a panel and set its title."""
    axes.set_title(title)
    axes.set(xticks=[], yticks=[])


def colour_bar(axes: Axes, image: Any, label: str = "") -> Axes:
    """Draw a colour bar of the height of the panel at its right, and return its axes."""
    bar = axes.inset_axes((1.03, 0.0, 0.045, 1.0))
    axes.figure.colorbar(image, cax=bar, label=label)
    bar.tick_params(width=0.5, size=2)
    bar.set_frame_on(True)
    return bar


def hide_frame(axes: Axes) -> None:
    """Hide the upper and the right side of the frame of a panel with curves."""
    axes.spines[["top", "right"]].set_visible(False)


def scale_bar(axes: Axes, width: float, pixel: float) -> float:
    """Draw a scale bar below the lower left corner of an image and return its length in metres.

    The length is the largest of 1, 2 or 5 times a power of ten that fits in 30 % of the image's ``width`` in metres.
    The unit of the axes is a pixel of ``pixel`` metres.
    """
    decade = 10.0 ** np.floor(np.log10(0.3 * width))
    length = float(max(step for step in (decade, 2 * decade, 5 * decade) if step <= 0.3 * width))
    across = blended_transform_factory(axes.transData, axes.transAxes)
    below = across + ScaledTranslation(0, -BELOW / 72, axes.figure.dpi_scale_trans)
    line = (-0.5, -0.5 + length / pixel)
    axes.plot(line, (0, 0), color="black", lw=2, solid_capstyle="butt", transform=below, clip_on=False)
    axes.annotate(
        show(length, "m"), (line[1], 0), (4, -BELOW), xycoords=across, textcoords="offset points", va="center"
    )
    return length


def save(figure: Figure, path: Path) -> Path:
    """Save a figure at its own size in the format of the suffix; an existing file is replaced.

    Raises
    ------
    OutputError
        If the file is an input, or cannot be written.
    """
    with atomic(path, overwrite=True) as partial, look():
        figure.savefig(partial, format=path.suffix.lstrip("."))
    return path
