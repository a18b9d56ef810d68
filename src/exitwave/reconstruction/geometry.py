"""Where the detector is: what the settings say of it, whether it can be so, and where it was found to be.

A wave of width w behind the sample has spread to lambda z / w at the detector. Where that is less than w, an image is
seen, the near field; where it is much more, the far field. A file does not say how wide the beam is, so that the far
field is believed unless file or settings say otherwise. But neighbouring positions that are about as far apart as the
far field's whole window, lambda z / pixel, are a sign of a near field in the cone beam of a nearby focus.
"""

from dataclasses import replace

import numpy as np

from exitwave.engine.model.detector_distance import centre
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
"""Distance of neighbouring positions from which on a far field is doubted, in widths of its window."""


def placed(scan: Scan, recipe: Recipe) -> Scan:
    """Return the scan with the geometry that the recipe asks for, and with a remark where that is doubtful.

    Raises
    ------
    InputError
        If a distance of the source is given for the far field.
    """
    near = scan.near if recipe.geometry is None else NearField() if recipe.geometry == "near" else None
    if recipe.source_distance is not None:
        if near is None:
            remedy = "Set geometry to near, or leave the distance out"
            found = f"source_distance: {recipe.source_distance:g}"
            raise InputError("The far field has no use for the distance of the source", found=found, remedy=remedy)
        near = NearField(recipe.source_distance)
    elif near and scan.near:
        near = scan.near
    scan = replace(scan, near=near)
    return replace(scan, findings=(*scan.findings, *_doubts(scan)))


def _doubts(scan: Scan) -> tuple[Finding, ...]:
    """Return what speaks against the geometry of a scan."""
    (ny, nx), pixel = scan.patterns.shape[1:], scan.object_pixel
    window = min(ny * pixel[0], nx * pixel[1])
    if scan.near:
        spread = scan.wavelength * scan.propagation_distance / min(pixel)
        found = f"a pixel spreads over {show(spread, 'm')} on its way, and the field is {show(window, 'm')} wide"
        remedy = "Check the distances; a detector so far away sees the far field"
        return (finding("W242", "distance", found, "waves that stay in the field", remedy),) if spread > window else ()
    step = neighbour_distance(scan.positions)
    found = f"neighbouring positions {show(step, 'm')} apart in a window of {show(window, 'm')}"
    remedy = "If the frames are images of the sample, set geometry=near and source_distance=5mm, focus to sample"
    return (finding("W241", "positions", found, "overlapping windows", remedy),) if step > SPARSE * window else ()


def refined(scan: Scan, grid: Grid, problem: Problem, state: State) -> tuple[Scan, Grid]:
    """Return the scan with the distance that was found, and the object's grid with the pixel that follows from it.

    The positions of the scan in metres are believed: they are where they were on the new grid.
    """
    if state.distance is None:
        return scan, grid
    factor = float(state.distance)
    y, x = (
        axis[0] + (axis[1] - axis[0]) * (middle + factor * (np.arange(len(axis)) - middle))
        for axis, middle in zip(grid, centre(problem), strict=True)
    )
    return replace(scan, detector=replace(scan.detector, distance=scan.detector.distance * factor)), (y, x)
