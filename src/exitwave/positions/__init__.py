"""Positions of the probe on the sample: scan patterns, overlap, coverage, faults, and the pixel grid of the object."""

from exitwave.positions.coverage import coverage, innermost, linear_overlap, neighbour_distance, step_for_overlap
from exitwave.positions.grid import object_grid, split, to_pixels
from exitwave.positions.patterns import FERMAT_NEIGHBOUR, concentric_rings, fermat_spiral, jittered_grid, raster

__all__ = [
    "FERMAT_NEIGHBOUR",
    "concentric_rings",
    "coverage",
    "fermat_spiral",
    "innermost",
    "jittered_grid",
    "linear_overlap",
    "neighbour_distance",
    "object_grid",
    "raster",
    "split",
    "step_for_overlap",
    "to_pixels",
]
