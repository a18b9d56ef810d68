"""Figures as in a paper: one function per figure, each returning a matplotlib Figure."""

from exitwave.figures.comparison import comparison_figure
from exitwave.figures.curves import errors_figure, frc_figure
from exitwave.figures.everything import plot_all
from exitwave.figures.object import object_figure
from exitwave.figures.patterns import patterns_figure
from exitwave.figures.positions import displacements_figure, positions_figure
from exitwave.figures.probe import probe_figure

__all__ = [
    "comparison_figure",
    "displacements_figure",
    "errors_figure",
    "frc_figure",
    "object_figure",
    "patterns_figure",
    "plot_all",
    "positions_figure",
    "probe_figure",
]
