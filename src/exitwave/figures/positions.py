"""Where the probe has been."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from exitwave.figures.style import GREY, MICRO, SINGLE, colour_bar, new_figure, paper


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
