"""Probe modes in complex colours."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from exitwave.figures.colour import colours, wheel
from exitwave.figures.object import image_height
from exitwave.figures.registry import Caption, Plot, Subject, register
from exitwave.figures.style import DOUBLE, SINGLE, image_panel, letter, new_figure, paper, scale_bar
from exitwave.optics import mode_powers

COLUMNS = 4
"""Largest number of modes in a row."""
BRIGHT = 99.7
"""Percentile of the amplitude of a mode that has full brightness."""
WHEEL = 26.0
"""Width of the space for the colour wheel in millimetres."""


@paper
def probe_figure(probe: NDArray[Any], pixel: tuple[float, float], *, width: float | None = None) -> Figure:
    """Draw the probe modes in complex colours, with their shares of the power and a colour wheel.

    The brightness of each mode is scaled separately.

    Parameters
    ----------
    probe : ndarray of complex, shape (modes, ny, nx)
        Probe modes.
    pixel : tuple of float
        Pixel size (y, x) in metres.
    width : float, optional
        Width of the figure in millimetres; by default one column for one mode and two columns for more.

    Returns
    -------
    matplotlib.figure.Figure
    """
    modes, ny, nx = probe.shape
    width = width or (SINGLE if modes == 1 else DOUBLE)
    columns, rows = min(modes, COLUMNS), -(-modes // COLUMNS)
    extent = (ny * pixel[0], nx * pixel[1])
    figure = new_figure(width, image_height(width, rows, columns, extent, WHEEL), images=True)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    share = 100 * mode_powers(probe)
    for axes in panels[modes:]:
        axes.remove()
    for index, (axes, mode) in enumerate(zip(panels, probe, strict=False)):
        axes.imshow(colours(mode, float(np.percentile(np.abs(mode), BRIGHT))), aspect=pixel[0] / pixel[1])
        image_panel(axes, f"{share[index]:.3g} %")
        if modes > 1:
            letter(axes, str(index + 1))
    scale_bar(panels[(rows - 1) * columns], extent[1], pixel[1])
    _wheel_beside(panels[columns - 1], 16 * columns / (width - WHEEL))
    return figure


def _wheel_beside(axes: Axes, size: float) -> None:
    """Draw the colour wheel at the right of a panel, with ``size`` times its width."""
    key = axes.inset_axes((1 + 0.3 * size, 0.5 - size / 2, size, size))
    key.imshow(wheel())
    key.set_axis_off()
    for phase, name in ((0.0, "0"), (0.25, "π/2"), (0.5, "π"), (0.75, "−π/2")):
        at = (0.5 + 0.68 * np.cos(2 * np.pi * phase), 0.5 + 0.68 * np.sin(2 * np.pi * phase))
        key.annotate(name, at, xycoords="axes fraction", ha="center", va="center", fontsize=6.5)


@register(order=50)
def _plots(subject: Subject) -> Iterator[Plot]:
    probe = subject.scan.probe if subject.result is None else subject.result.probe
    if probe is None or not len(probe):
        return
    name = "Starting probe" if subject.result is None else "Probe modes"
    shares = mode_powers(probe)
    text = f"{name}: brightness is the amplitude, colour is the phase. Share of the power: "
    text += ", ".join(f"{share:.1%}" for share in shares)
    caption = Caption("Probe", f"{name} in complex colours", f"{text}.", wide=len(shares) > 1)
    yield Plot(partial(probe_figure, probe, subject.data.object_pixel), "probe", caption)
