"""Scan positions, and the displacements that their refinement found."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from exitwave.figures.registry import Caption, Plot, Subject, register
from exitwave.figures.style import BLUE, GREY, MICRO, SINGLE, colour_bar, new_figure, paper
from exitwave.units import show


@paper
def positions_figure(positions: NDArray[np.float64], *, width: float = SINGLE) -> Figure:
    """Draw the scan positions on the sample, coloured by frame index and joined by a thin line.

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
    colour_bar(axes, points, "Frame index")
    return figure


@paper
def displacements_figure(
    nominal: NDArray[np.float64], refined: NDArray[np.float64], *, width: float = SINGLE
) -> Figure:
    """Draw an arrow from every nominal position towards the refined one, magnified, with a key for the scale.

    The mean displacement is subtracted, because it only shifts the object.

    Parameters
    ----------
    nominal, refined : ndarray of shape (npos, 3)
        Centre of the probe in metres, columns x, y, z, before and after the refinement.
    width : float
        Width of the figure in millimetres.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(width, 0.95 * width, images=True)
    axes = figure.subplots()
    start, moves = nominal[:, :2], (refined - nominal)[:, :2]
    moves = moves - moves.mean(0)
    rms = float(np.sqrt((moves**2).sum(1).mean()))
    reach = 0.06 * float(np.ptp(start, axis=0).max()) * MICRO  # length of the arrow of the rms displacement
    scale = rms / reach if reach and rms else 1.0
    x, y = start.T * MICRO
    axes.scatter(x, y, s=1.5, color=GREY, linewidths=0, zorder=1)
    arrows = axes.quiver(x, y, *moves.T, color=BLUE, angles="xy", scale_units="xy", scale=scale, width=0.004, zorder=2)
    key = _round_down(rms)
    axes.quiverkey(arrows, 0.86, 1.04, key, show(key, "m"), labelpos="W", coordinates="axes")
    axes.set(xlabel="x (µm)", ylabel="y (µm)", aspect="equal")
    axes.set_title(f"Refined by {show(rms, 'm', 3)} rms", loc="left")
    axes.margins(0.1)
    return figure


def _round_down(length: float) -> float:
    """Return the largest of 1, 2 or 5 times a power of ten up to a length."""
    if length <= 0:
        return 1e-9
    decade = 10.0 ** np.floor(np.log10(length))
    return float(max(step for step in (decade, 2 * decade, 5 * decade) if step <= length))


@register(order=10)
def _plots(subject: Subject) -> Iterator[Plot]:
    positions, nominal = subject.data.positions, subject.scan.positions
    title = "Scan positions on the sample"
    caption = Caption("Positions and coverage", title, f"{title}, coloured by frame index.")
    yield Plot(partial(positions_figure, positions), "positions", caption)
    if (positions != nominal).any():
        title = "Refinement of the positions"
        text = f"{title}. The arrows are magnified; the arrow at the top shows their scale."
        caption = Caption("Positions and coverage", title, text)
        yield Plot(partial(displacements_figure, nominal, positions), "displacements", caption)
