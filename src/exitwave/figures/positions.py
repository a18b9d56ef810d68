"""Where the probe has been, and how far that is from where it was meant to be."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from exitwave.figures.style import BLUE, GREY, MICRO, SINGLE, colour_bar, new_figure, paper
from exitwave.units import show


@paper
def positions_figure(positions: NDArray[np.float64], *, width: float = SINGLE) -> Figure:
    """Draw the scan positions on the sample, coloured by their index, joined by a thin line.

    Parameters
    ----------
    positions : ndarray of shape (npos, 3)
        Centre of the probe in metres, columns x, y, z.
    width : float
        Width of the figure in millimetres.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(width, 0.82 * width, images=True)
    axes = figure.subplots()
    x, y = positions[:, 0] * MICRO, positions[:, 1] * MICRO
    size = float(np.clip(2000 / len(positions), 1.5, 14))
    axes.plot(x, y, color=GREY, lw=0.25, zorder=1)
    points = axes.scatter(x, y, c=np.arange(len(positions)), s=size, cmap="viridis", linewidths=0, zorder=2)
    axes.set(xlabel="x (µm)", ylabel="y (µm)", aspect="equal", title=f"{len(positions)} positions")
    axes.margins(0.05)
    colour_bar(axes, points, "Index of the frame")
    return figure


@paper
def displacements_figure(
    nominal: NDArray[np.float64], refined: NDArray[np.float64], *, width: float = SINGLE
) -> Figure:
    """Draw an arrow from every scan position towards the refined one, all longer by one factor, with one for scale.

    What all positions have in common is not drawn: the object has it as well.

    Parameters
    ----------
    nominal, refined : ndarray of shape (npos, 3)
        Centre of the probe in metres, columns x, y, z, in the scan and in the result.
    width : float
        Width of the figure in millimetres.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(width, 0.95 * width, images=True)
    axes = figure.subplots()
    start, moved = nominal[:, :2], (refined - nominal)[:, :2]
    moved = moved - moved.mean(0)
    rms = float(np.sqrt((moved**2).sum(1).mean()))
    reach = 0.06 * float(np.ptp(start, axis=0).max()) * MICRO  # of an arrow as long as the rms
    scale = rms / reach if reach and rms else 1.0
    x, y = start.T * MICRO
    axes.scatter(x, y, s=1.5, color=GREY, linewidths=0, zorder=1)
    arrows = axes.quiver(x, y, *moved.T, color=BLUE, angles="xy", scale_units="xy", scale=scale, width=0.004, zorder=2)
    key = _round(rms)
    axes.quiverkey(arrows, 0.86, 1.04, key, show(key, "m"), labelpos="W", coordinates="axes")
    axes.set(xlabel="x (µm)", ylabel="y (µm)", aspect="equal")
    axes.set_title(f"Moved by {show(rms, 'm', 3)} rms", loc="left")
    axes.margins(0.1)
    return figure


def _round(length: float) -> float:
    """Return the largest of 1, 2 or 5 times a power of ten that is not above a length."""
    if length <= 0:
        return 1e-9
    decade = 10.0 ** np.floor(np.log10(length))
    return float(max(step for step in (decade, 2 * decade, 5 * decade) if step <= length))
