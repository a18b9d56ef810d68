"""Curves: how a reconstruction converged, and down to which detail it can be trusted."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from exitwave.figures.style import BLUE, GREY, MICRO, ORANGE, SINGLE, new_figure, paper
from exitwave.frc import FRC
from exitwave.units import show


@paper
def errors_figure(errors: NDArray[Any], holdout_errors: NDArray[Any] | None = None, *, width: float = SINGLE) -> Figure:
    """Draw the error metric of every iteration, and that of the frames held out, on a log scale.

    Parameters
    ----------
    errors : ndarray of shape (iterations,)
        Error metric of the frames that were used.
    holdout_errors : ndarray of shape (iterations,), optional
        The same of the frames held out; may be empty.
    width : float
        Width of the figure in millimetres.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(width, 0.68 * width)
    axes = figure.subplots()
    iteration = np.arange(1, len(errors) + 1)
    axes.plot(iteration, errors, color=BLUE, marker="." if len(errors) < 12 else "", label=f"used, {errors[-1]:.3g}")
    if holdout_errors is not None and len(holdout_errors):
        label = f"held out, {holdout_errors[-1]:.3g}"
        axes.plot(iteration[-len(holdout_errors) :], holdout_errors, color=ORANGE, ls="--", label=label)
    axes.set(xlabel="Iteration", ylabel="Error metric", yscale="log")
    axes.set_xlim(min(1, len(errors) - 1), max(len(errors), 2))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(title="Frames, last value", title_fontsize=7.5, alignment="left")
    _open(axes)
    return figure


@paper
def frc_figure(curve: FRC, *, width: float = SINGLE) -> Figure:
    """Draw a Fourier ring correlation with its half-bit threshold and the resolution.

    Parameters
    ----------
    curve : FRC
        What `exitwave.frc.frc` returned.
    width : float
        Width of the figure in millimetres.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(width, 0.72 * width)
    axes = figure.subplots()
    frequency = curve.frequency / MICRO
    axes.plot(frequency, curve.correlation, color=BLUE, label="FRC")
    axes.plot(frequency, curve.threshold, color=ORANGE, ls="--", label="half-bit threshold")
    cut = 0.5 / curve.resolution / MICRO
    words = f"{show(curve.resolution, 'm', 3)} half period" + (", the pixel" if curve.limited_by_pixel else "")
    axes.axvline(cut, color=GREY, lw=0.8, ls=":", label=words)
    axes.axhline(0, color=GREY, lw=0.4)
    axes.set(xlabel="Spatial frequency (µm⁻¹)", ylabel="Correlation", xlim=(0, frequency[-1]))
    axes.set_ylim(min(-0.05, float(curve.correlation.min()) * 1.1), 1.03)
    axes.legend(loc="lower left" if cut > 0.5 * frequency[-1] else "upper right")
    _open(axes)
    return figure


def _open(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
