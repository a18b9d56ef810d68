"""A thick sample between its file and the engine: lengths in metres, where it starts, and what is free to choose."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.algorithms.registry import ALGORITHMS, supporting
from exitwave.engine.model.slices import make_slices, split
from exitwave.engine.problem import Problem
from exitwave.engine.recipe import Recipe
from exitwave.engine.state import State
from exitwave.errors import InputError
from exitwave.optics import depth_of_focus, numerical_aperture
from exitwave.scan import Result, Scan


def slice_positions(scan: Scan, problem: Problem, recipe: Recipe, earlier: Result | None) -> NDArray[np.float64] | None:
    """Return where the slices lie along the beam in metres, shape (slices,), the first at 0; None for a thin sample.

    A result goes on with its own slices and spacing, unless others are asked for. Without either the spacing is one
    depth of focus of the beam, wavelength / aperture^2.

    Raises
    ------
    InputError
        If a stage's algorithm cannot do several slices, or a result has others than asked for.
    """
    before = earlier.slices if earlier else 1
    number = recipe.slices if "slices" in recipe.model_fields_set or earlier is None else before
    if number != before > 1:
        remedy = "Leave the setting out, or start again from the scan"
        raise InputError("A result keeps its slices", found=f"slices: {number}, not {before}", remedy=remedy)
    if number == 1:
        _refuse_spacing(recipe)
        return None
    if scan.near:
        remedy = "Use a single slice"
        raise InputError("The near field of several slices is not modelled", found=f"slices: {number}", remedy=remedy)
    for stage in recipe.stages:
        algorithm = ALGORITHMS.get(stage.algorithm)
        if not algorithm.slices:
            remedy = f"Use one of {supporting('slices')}, or a single slice"
            found = f"{stage.algorithm}, slices: {number}"
            raise InputError("This algorithm does not support several slices", found=found, remedy=remedy)
        for name in ("opr_update", "pointing_update"):
            if stage.refinement(name) is not None:
                remedy = "Leave it out, or use a single slice"
                raise InputError("This is not refined with several slices", found=name, remedy=remedy)
        if algorithm.refines_positions and stage.refinement("position_update"):
            remedy = f"Use one of {supporting('slices', but='refines_positions')}, or a single slice"
            what = f"{stage.algorithm} does not refine positions with several slices"
            raise InputError(what, found="position_update", remedy=remedy)
    spacing = recipe.slice_spacing
    if spacing is None and earlier is not None and earlier.z is not None:
        spacing = float(earlier.z[1] - earlier.z[0])
    if spacing is None:
        spacing = depth_of_focus(scan.wavelength, _aperture(scan, problem))
    return spacing * np.arange(number, dtype=np.float64)


def _refuse_spacing(recipe: Recipe) -> None:
    if recipe.slice_spacing is not None:
        found, remedy = f"slice_spacing: {recipe.slice_spacing:g}, slices: 1", "Give the number of slices, 2 or more"
        raise InputError("A single slice has no spacing", found=found, remedy=remedy)


def with_slices(problem: Problem, scan: Scan, z: NDArray[np.float64] | None) -> Problem:
    """Return the problem of a thick sample whose slices lie at z in metres; of a thin one where there is no z."""
    if z is None:
        return problem
    slices = make_slices(
        len(z),
        float(z[1] - z[0]),
        shape=problem.shape,
        wavelength=scan.wavelength,
        pixel=scan.object_pixel,
        aperture=_aperture(scan, problem),
    )
    return replace(problem, slices=slices)


def _aperture(scan: Scan, problem: Problem) -> float:
    """Return the half-angle of the cone of light in the mean of the frames."""
    (ny, nx), (dy, dx) = problem.shape, scan.object_pixel
    angles = scan.wavelength / (ny * dy), scan.wavelength / (nx * dx)
    return numerical_aperture(problem.mean_pattern()[0], angles)


def starting_object(problem: Problem, earlier: Result | None) -> NDArray[np.complex64]:
    """Return ones, or what an earlier result has: a thin object becomes equal slices of the same product."""
    if earlier is None:
        return np.ones(problem.full_shape, np.complex64)
    if problem.slices and earlier.object.ndim == 2:
        return split(earlier.object, problem.slices.number)
    return problem.tile.cut(earlier.object)


def balance(obj: NDArray[Any]) -> None:
    """Give slices the same mean power in place; their product stays."""
    powers = np.array([np.linalg.norm(each) for each in obj])
    if np.all(powers > 0):
        obj *= (np.exp(np.log(powers).mean()) / powers).astype(np.float32)[:, None, None]


def refined(z: NDArray[np.float64] | None, state: State) -> NDArray[np.float64] | None:
    """Return where the slices lie with the spacing that was found, in metres."""
    return z if z is None or state.slice_spacing is None else z * float(state.slice_spacing)
