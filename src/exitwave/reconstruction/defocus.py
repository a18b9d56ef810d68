"""How far the probe of a scan is out of focus, found in its frames even where positions are wrong.

Wrong positions blur what a wrong defocus blurs: where one defocus is not clearly better than all others, they are tried
again with positions that may move.
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
from exitwave.reconstruction.orientation import middle
from exitwave.reconstruction.starting_probe import Defocused, largest_defocus, search_defocus
from exitwave.scan import Scan

FRAMES = 120
"""Frames in the middle of the scan; half as many do not hold positions that move together."""
CLEAR = 0.6
"""A defocus whose error is below this part of the median one is beyond doubt."""
STEPS, ROUNDS = 10, 2
"""Steps of the second search to either side of the focus, and finer rounds about the best."""
TRIAL = {"stages": [{"algorithm": "mPIE", "iterations": 24, "position_update": True}], "modes": 1, "holdout": 0.2}
"""How a defocus is tried there."""


def find_probe(scan: Scan, recipe: Recipe) -> Defocused:
    """Return the probe that the frames imply, and its defocus.

    Parameters
    ----------
    scan : Scan
        A far-field scan of a thin sample.
    recipe : Recipe
        Its device, threads and seed.
    """
    part = middle(scan, FRAMES)
    grid = object_grid(part.positions, part.patterns.shape[1:], part.object_pixel)
    problem = load_problem(part, part.positions, grid, holdout=0, seed=0)
    found = search_defocus(part, problem, recipe)
    if found.error < CLEAR * found.usual:
        return found
    return _with_moves(part, found, largest_defocus(problem.mean_pattern()[0], scan), recipe)


def _with_moves(scan: Scan, found: Defocused, reach: float, recipe: Recipe) -> Defocused:
    """Return the probe with the defocus that is best when positions may move."""
    settings = make_recipe(TRIAL | {"device": recipe.device, "threads": recipe.threads, "seed": recipe.seed})

    def error(defocus: float) -> float:
        start = replace(scan, probe=out_of_focus(found, defocus, scan)[None].astype(np.complex64))
        return min(progress.holdout_error for progress in iterate(start, settings))

    step = reach / STEPS
    tried = {defocus: error(defocus) for defocus in [found.defocus, *(k * step for k in range(-STEPS, STEPS + 1))]}
    for _ in range(ROUNDS):
        best, step = min(tried, key=tried.__getitem__), step / 2.5
        tried |= {best + k * step: error(best + k * step) for k in (-1, 1)}
    best = min(tried, key=tried.__getitem__)
    return found._replace(probe=out_of_focus(found, best, scan), defocus=best, error=tried[best])


def out_of_focus(found: Defocused, defocus: float, scan: Scan) -> NDArray[np.complexfloating[Any, Any]]:
    """Return the probe at another defocus, shape (ny, nx)."""
    return angular_spectrum(found.probe, defocus - found.defocus, scan.wavelength, scan.object_pixel)
