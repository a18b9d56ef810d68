"""Thick samples in metres: positions of the slices along the beam, the starting object, and the power of the slices."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.algorithms.registry import ALGORITHMS, supporting
from exitwave.engine.model.slices import Slices, split_object
from exitwave.engine.problem import Problem
from exitwave.engine.recipe import Recipe
from exitwave.engine.state import State
from exitwave.errors import InputError
from exitwave.optics import angular_spectrum_rate, check_spacing, depth_of_focus, numerical_aperture
from exitwave.scan import Result, Scan


def slice_positions(scan: Scan, problem: Problem, recipe: Recipe, earlier: Result | None) -> NDArray[np.float64] | None:
    """Return the positions of the slices along the beam in metres, shape (slices,), the first at 0; None: thin sample.

    A continued result keeps its slices and its spacing, unless the recipe sets the spacing. The default spacing is one
    depth of focus of the beam, wavelength / aperture^2.

    Raises
    ------
    InputError
        If a stage's algorithm cannot do several slices, or the recipe has another number of slices than the result.
    """
    existing = earlier.slices if earlier else 1
    number = recipe.slices if "slices" in recipe.model_fields_set or earlier is None else existing
    if number != existing > 1:
        remedy = "Remove the setting, or start again from the scan"
        raise InputError("A result keeps its slices", found=f"slices: {number}, not {existing}", remedy=remedy)
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
            remedy = f"Use one of {supporting('slices', without='refines_positions')}, or a single slice"
            what = f"{stage.algorithm} does not refine positions with several slices"
            raise InputError(what, found="position_update", remedy=remedy)
    return _spacing(scan, problem, recipe, earlier) * np.arange(number, dtype=np.float64)


def _refuse_spacing(recipe: Recipe) -> None:
    """Refuse a slice spacing for a single slice."""
    if recipe.slice_spacing is not None:
        found = f"slice_spacing: {recipe.slice_spacing:g}, slices: 1"
        raise InputError("A single slice has no spacing", found=found, remedy="Set slices to 2 or more")


def _spacing(scan: Scan, problem: Problem, recipe: Recipe, earlier: Result | None) -> float:
    """Return the distance from one slice to the next in metres."""
    if recipe.slice_spacing is not None:
        return recipe.slice_spacing
    if earlier is not None and earlier.z is not None:
        return float(earlier.z[1] - earlier.z[0])
    return depth_of_focus(scan.wavelength, _aperture(scan, problem))


def with_slices(problem: Problem, scan: Scan, z: NDArray[np.float64] | None) -> Problem:
    """Return the problem with slices at the positions z in metres; None: the problem as it is."""
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


def make_slices(
    number: int,
    spacing: float,
    *,
    shape: tuple[int, int],
    wavelength: float,
    pixel: tuple[float, float],
    aperture: float,
) -> Slices:
    """Return the slices of a thick sample.

    Parameters
    ----------
    number : int
        Number of slices.
    spacing : float
        Distance from one slice to the next in metres.
    shape : tuple of int
        Shape (ny, nx) of the probe.
    wavelength : float
        Wavelength in metres.
    pixel : tuple of float
        Object pixel (y, x) in metres.
    aperture : float
        Half-angle of the beam's cone in radians.

    Raises
    ------
    InputError
        If the spacing is so large that a wave leaves the window between two slices.
    """
    check_spacing(spacing, wavelength, shape, pixel)
    phase = spacing * angular_spectrum_rate(shape, wavelength, pixel)
    return Slices(number, phase, (spacing * aperture / pixel[0], spacing * aperture / pixel[1]))


def _aperture(scan: Scan, problem: Problem) -> float:
    """Return the half-angle of the beam's cone in radians, from the mean pattern."""
    (ny, nx), (dy, dx) = problem.shape, scan.object_pixel
    angles = scan.wavelength / (ny * dy), scan.wavelength / (nx * dx)
    return numerical_aperture(problem.mean_pattern()[0], angles)


def starting_object(problem: Problem, earlier: Result | None) -> NDArray[np.complex64]:
    """Return the object at the first iteration: ones, or that of an earlier result.

    A thin object is divided into equal slices with the same product if the problem has slices.
    """
    if earlier is None:
        return np.ones(problem.full_shape, np.complex64)
    if problem.slices and earlier.object.ndim == 2:
        return split_object(earlier.object, problem.slices.number)
    return problem.tile.distribute(earlier.object)


def balance(obj: NDArray[Any]) -> None:
    """Scale the slices in place so that all have the same mean power; their product does not change."""
    norms = np.array([np.linalg.norm(each) for each in obj])
    if np.all(norms > 0):
        obj *= (np.exp(np.log(norms).mean()) / norms).astype(np.float32)[:, None, None]


def refined_slices(z: NDArray[np.float64] | None, state: State) -> NDArray[np.float64] | None:
    """Return the positions of the slices along the beam in metres, with the refined spacing."""
    return z if z is None or state.slice_spacing is None else z * float(state.slice_spacing)
