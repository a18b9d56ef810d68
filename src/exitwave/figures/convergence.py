"""Convergence of a reconstruction: error metric against iteration."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from exitwave.figures.registry import Caption, Plot, Subject, register
from exitwave.figures.style import BLUE, ORANGE, SINGLE, hide_frame, new_figure, paper


@paper
def errors_figure(errors: NDArray[Any], holdout_errors: NDArray[Any] | None = None, *, width: float = SINGLE) -> Figure:
    """Draw the error metric of every iteration for the used and the held-out frames, on a logarithmic scale.

    Parameters
    ----------
    errors : ndarray of shape (iterations,)
        Error metric of the used frames.
    holdout_errors : ndarray of shape (iterations,), optional
        Error metric of the held-out frames; may be empty.
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
    hide_frame(axes)
    return figure


@register(order=70)
def _plots(subject: Subject) -> Iterator[Plot]:
    result = subject.result
    if result is None or not len(result.errors):
        return
    text = f"Error metric over {len(result.errors)} iterations, last {result.errors[-1]:.4g}"
    if len(result.holdout_errors):
        text += f"; on held-out frames {result.holdout_errors[-1]:.4g}"
    caption = Caption("Convergence and resolution", text, f"{text}. 0 is perfect.", kind="svg")
    yield Plot(partial(errors_figure, result.errors, result.holdout_errors), "errors", caption)
