"""Geometry of the detector: near or far field according to file and settings, doubts, and the refined distance.

A wave of width w behind the sample has spread to lambda z / w at the detector. If that is less than w, the detector
records an image, the near field; if it is much more, the far field. A file does not contain the width of the beam, so
the far field is assumed unless file or settings select the near field. But neighbouring positions about as far apart as
the window of the far field, lambda z / pixel, indicate a near field in the cone beam of a nearby focus.
"""

from dataclasses import replace

import numpy as np

from exitwave.engine.model.detector_distance import scan_centre
from exitwave.engine.problem import Problem
from exitwave.engine.recipe import Recipe
from exitwave.engine.state import State
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.positions.coverage import neighbour_distance
from exitwave.reconstruction.loading import Grid
from exitwave.scan import NearField, Scan
from exitwave.units import show

SPARSE = 0.4
"""Distance of neighbouring positions, in widths of the far field's window, above which the far field is doubted."""


def with_geometry(scan: Scan, recipe: Recipe) -> Scan:
    """Return the scan in the near or far field according to the recipe, with a finding if that is doubtful.

    Raises
    ------
    InputError
        If the recipe has a source distance for the far field.
    """
    near = scan.near if recipe.geometry is None else NearField() if recipe.geometry == "near" else None
    if recipe.source_distance is not None:
        if near is None:
            remedy = "Set geometry to near, or remove the setting source_distance"
            found = f"source_distance: {recipe.source_distance:g}"
            raise InputError("The source distance is not used in the far field", found=found, remedy=remedy)
        near = NearField(recipe.source_distance)
    elif near and scan.near:
        near = scan.near
    scan = replace(scan, near=near)
    return replace(scan, findings=(*scan.findings, *_doubts(scan)))


def _doubts(scan: Scan) -> tuple[Finding, ...]:
    """Return the finding that contradicts the geometry of a scan, if there is one."""
    (ny, nx), pixel = scan.patterns.shape[1:], scan.object_pixel
    window = min(ny * pixel[0], nx * pixel[1])
    if scan.near:
        spread = scan.wavelength * scan.propagation_distance / min(pixel)
        found = f"the wave of one pixel spreads over {show(spread, 'm')}, more than the field of {show(window, 'm')}"
        remedy = "Check the distances; so far away a detector records the far field"
        expected = "a wave that stays in the field"
        return (finding("W242", "distance", found, expected, remedy),) if spread > window else ()
    step = neighbour_distance(scan.positions)
    found = f"neighbouring positions {show(step, 'm')} apart in a window of {show(window, 'm')}"
    remedy = "If the frames are images of the sample, set geometry=near and the source distance, focus to sample, "
    remedy += "such as source_distance=5mm"
    return (finding("W241", "positions", found, "overlapping windows", remedy),) if step > SPARSE * window else ()


def refined_geometry(scan: Scan, grid: Grid, problem: Problem, state: State) -> tuple[Scan, Grid]:
    """Return the scan with the refined detector distance, and the object's grid with the pixel that follows from it.

    The scan's positions in metres are kept; the new grid is scaled about their centre.
    """
    if state.distance is None:
        return scan, grid
    factor = float(state.distance)
    y, x = (
        axis[0] + (axis[1] - axis[0]) * (middle + factor * (np.arange(len(axis)) - middle))
        for axis, middle in zip(grid, scan_centre(problem), strict=True)
    )
    return replace(scan, detector=replace(scan.detector, distance=scan.detector.distance * factor)), (y, x)
