"""Figures for publication: one function per figure, each returning a matplotlib Figure."""

from exitwave.figures.comparison import comparison_figure
from exitwave.figures.convergence import errors_figure
from exitwave.figures.folder import plot_all
from exitwave.figures.frc import frc_figure
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
