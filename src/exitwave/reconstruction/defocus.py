"""Search for the defocus of a scan's probe, also with wrong positions.

Wrong positions and a wrong defocus increase the error in a similar way. If no defocus is clearly better than the
others, the search is repeated with refinement of the positions.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.recipe import Recipe, make_recipe
from exitwave.optics import angular_spectrum
from exitwave.positions import object_grid
from exitwave.reconstruction.iterate import iterate
from exitwave.reconstruction.loading import load_problem
from exitwave.reconstruction.orientation import central_frames
from exitwave.reconstruction.starting_probe import DefocusedProbe, largest_defocus, search_defocus
from exitwave.scan import Scan

FRAMES = 120
"""Number of frames in the middle of the scan; half as many do not prevent positions from drifting together."""
CLEARLY_BETTER = 0.6
"""A defocus is accepted if its error is below this fraction of the median error of all defoci."""
STEPS, REFINEMENTS = 10, 2
"""Steps of the second search on either side of the focus, and later halvings of the interval around the best."""
TRIAL = {"stages": [{"algorithm": "mPIE", "iterations": 24, "position_update": True}], "modes": 1, "holdout": 0.2}
"""Settings with which a defocus is tried in the second search."""


def find_probe(scan: Scan, recipe: Recipe, *, with_positions: bool = True) -> DefocusedProbe:
    """Return the probe and its defocus from the frames in the middle of a scan.

    Parameters
    ----------
    scan : Scan
        A far-field scan of a thin sample.
    recipe : Recipe
        Its device, threads and seed are used.
    with_positions : bool
        Whether to repeat the search with refined positions if no defocus is clearly better than the others.
    """
    part = central_frames(scan, FRAMES)
    grid = object_grid(part.positions, part.patterns.shape[1:], part.object_pixel)
    problem = load_problem(part, part.positions, grid, holdout=0, seed=0)
    found = search_defocus(part, problem, recipe)
    if found.error < CLEARLY_BETTER * found.median_error or not with_positions:
        return found
    return _search_with_positions(part, found, largest_defocus(problem.mean_pattern()[0], scan), recipe)


def _search_with_positions(scan: Scan, found: DefocusedProbe, limit: float, recipe: Recipe) -> DefocusedProbe:
    """Return the probe with the best defocus, up to a limit in metres, when the positions are refined too."""
    settings = make_recipe(TRIAL | {"device": recipe.device, "threads": recipe.threads, "seed": recipe.seed})

    def error(defocus: float) -> float:
        start = replace(scan, probe=_at_defocus(found, defocus, scan)[None].astype(np.complex64))
        return min(progress.holdout_error for progress in iterate(start, settings))

    step = limit / STEPS
    errors = {defocus: error(defocus) for defocus in [found.defocus, *(k * step for k in range(-STEPS, STEPS + 1))]}
    for _ in range(REFINEMENTS):
        best, step = min(errors, key=errors.__getitem__), step / 2.5
        errors |= {best + k * step: error(best + k * step) for k in (-1, 1)}
    best = min(errors, key=errors.__getitem__)
    return found._replace(probe=_at_defocus(found, best, scan), defocus=best, error=errors[best])


def _at_defocus(found: DefocusedProbe, defocus: float, scan: Scan) -> NDArray[np.complexfloating[Any, Any]]:
    """Return the probe at another defocus in metres, shape (ny, nx)."""
    return angular_spectrum(found.probe, defocus - found.defocus, scan.wavelength, scan.object_pixel)
