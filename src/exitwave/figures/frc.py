"""Fourier ring correlation of two half scans, or of a result and the truth."""

from collections.abc import Iterator
from functools import partial

from matplotlib.figure import Figure

from exitwave.figures.registry import Caption, Plot, Subject, register
from exitwave.figures.style import BLUE, GREY, MICRO, ORANGE, SINGLE, hide_frame, new_figure, paper
from exitwave.frc import FRC
from exitwave.units import show


@paper
def frc_figure(curve: FRC, *, width: float = SINGLE) -> Figure:
    """Draw a Fourier ring correlation with its half-bit threshold and the resolution.

    Parameters
    ----------
    curve : FRC
        Result of `exitwave.frc.frc`.
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
    label = f"{show(curve.resolution, 'm', 3)} half period" + (", the pixel" if curve.limited_by_pixel else "")
    axes.axvline(cut, color=GREY, lw=0.8, ls=":", label=label)
    axes.axhline(0, color=GREY, lw=0.4)
    axes.set(xlabel="Spatial frequency (µm⁻¹)", ylabel="Correlation", xlim=(0, frequency[-1]))
    axes.set_ylim(min(-0.05, float(curve.correlation.min()) * 1.1), 1.03)
    axes.legend(loc="lower left" if cut > 0.5 * frequency[-1] else "upper right")
    hide_frame(axes)
    return figure


def _plot(curve: FRC, name: str, images: str, sentence: str = "") -> Plot:
    text = f"Fourier ring correlation {images}, half period {show(curve.resolution, 'm', 3)}"
    caption = Caption("Convergence and resolution", text, f"{text}. {sentence}".rstrip(), kind="svg")
    return Plot(partial(frc_figure, curve), name, caption)


@register(order=80)
def _halves(subject: Subject) -> Iterator[Plot]:
    if subject.result is not None and subject.result.frc is not None:
        yield _plot(subject.result.frc, "frc_halves", "of two halves of the scan")


@register(order=100)
def _truth(subject: Subject) -> Iterator[Plot]:
    if subject.comparison is not None:
        yield _plot(subject.comparison.frc, "frc", "with the truth", subject.comparison.sentence())
