"""Where a reconstruction starts: the probe, from the scan or from the data, and the object."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.algorithms import rpie
from exitwave.engine.backends.cpu.passes import CpuBackend
from exitwave.engine.problem import Problem
from exitwave.engine.recipe import Recipe, Stage
from exitwave.engine.settings import Update
from exitwave.engine.state import Memory, State
from exitwave.errors import InputError
from exitwave.optics import angular_spectrum, numerical_aperture, probe_from_pattern, starting_modes
from exitwave.positions import innermost
from exitwave.scan import Scan

SEARCH_FRAMES = 64
"""Frames around the middle of the scan on which the defocus is searched."""
JUDGE = 5
"""One in so many of them is held out of the search, and judges it."""
SEARCH_ITERATIONS = 8
SEARCH_STAGE = Stage(algorithm="rPIE", batch=8, object_update=Update(alpha=0.05), probe_update=Update(alpha=0.5))
"""Iterations that each defocus is given, and how they are done."""
MINIMA, LONGER = 3, 4
"""So many minima of their error are tried again with so many times the iterations."""
LARGEST_BEAM = 0.7
"""Diameter of the geometric beam at the largest defocus searched, in widths of the probe array."""


def starting_probe(
    scan: Scan, problem: Problem, recipe: Recipe, announce: Callable[[str], None]
) -> NDArray[np.complex64]:
    """Return the starting modes, shape (modes, ny, nx).

    Unless the probe is to be left alone, its power is set to the mean counts of a frame.

    Raises
    ------
    InputError
        If the scan's probe is asked for and there is none, or it does not fit the frames or the number of modes.
    """
    source = recipe.probe or ("auto" if scan.probe is None else "file")
    given = source == "file"
    where = scan.path or "the scan"
    frame = (problem.counts.shape[1], problem.counts.shape[2])
    if given:
        known = scan.probe is not None and scan.probe.shape[-2:] == problem.shape
        probe = check_probe(scan.probe, problem.shape if known else frame, where)
    else:
        probe = _from_images(problem) if scan.near else _from_data(scan, problem, recipe, announce)
    probe = fit_modes(widen(probe, problem.shape), recipe.modes)
    if recipe.updates_probe:
        probe = probe * np.sqrt(problem.photons / (np.abs(probe) ** 2).sum())
    return np.ascontiguousarray(probe, np.complex64)


def fit_modes(probe: NDArray[np.complex64], modes: int | None) -> NDArray[np.complex64]:
    """Return a copy of the probe, shape (modes, ny, nx), with further starting modes where more than one is asked for.

    Raises
    ------
    InputError
        If the probe has several modes, but not as many as asked for.
    """
    if modes in (None, len(probe)):
        return probe.copy()
    if len(probe) > 1:
        remedy = f"Leave the number of modes out, or give {len(probe)}, or start from --probe auto"
        found = f"{len(probe)}, not {modes}"
        raise InputError("The starting probe has other modes than asked for", found=found, remedy=remedy)
    return starting_modes(probe, modes)


def widen(waves: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Return waves in a field of another shape with as large pixels, zeros about them; index n//2 stays the centre."""
    missing = [(n // 2 - m // 2, n - m - (n // 2 - m // 2)) for n, m in zip(shape, waves.shape[-2:], strict=True)]
    return np.pad(waves, [(0, 0)] * (waves.ndim - 2) + missing)


def check_probe(probe: NDArray[np.complex64] | None, shape: tuple[int, int], where: object) -> NDArray[np.complex64]:
    """Return a given probe as (modes, ny, nx), or refuse it."""
    remedy = "Start from the data with --probe auto, or name a file that has a probe with --probe PATH"
    if probe is None:
        raise InputError("There is no starting probe", where=where, found="none", remedy=remedy)
    if probe.shape[-2:] != shape:
        found = f"{probe.shape[-2:]} for frames of {shape}"
        raise InputError("The starting probe does not fit the frames", where=where, found=found, remedy=remedy)
    if not (np.isfinite(probe).all() and np.any(probe)):
        raise InputError("The starting probe is empty or not finite", where=where, found="zeros or NaN", remedy=remedy)
    return probe.reshape(-1, *shape)


def _from_images(problem: Problem) -> NDArray[np.complex64]:
    """Return the probe that the mean image in the near field implies: its root, with a flat phase, brought back.

    The sample, at another place in every frame, is hardly seen in the mean.
    """
    assert problem.propagator is not None
    mean, bad = problem.mean()
    amplitude = np.sqrt(np.where(bad, np.median(mean[~bad]), mean))
    return problem.propagator.back(amplitude, np.zeros(2))[None].astype(np.complex64)


def _from_data(scan: Scan, problem: Problem, recipe: Recipe, announce: Callable[[str], None]) -> NDArray[np.complex64]:
    """Return the probe that the mean diffraction pattern implies, at the defocus that explains the frames best."""
    announce("searching the defocus of the probe")
    found = search_defocus(scan, problem, recipe)
    announce(f"starting from a probe {found.defocus * 1e6:+.0f} um out of focus")
    probe = found.probe
    if problem.slices:  # a thin sample lies where the middle of a thick one is
        back = problem.slices.transfer(-(problem.slices.number - 1) / 2)
        probe = np.fft.ifft2(np.fft.fft2(probe) * back)
    return probe[None].astype(np.complex64)


class Defocused(NamedTuple):
    """A probe that was found in the data."""

    probe: NDArray[np.complexfloating[Any, Any]]
    """Shape (ny, nx)."""
    defocus: float
    """Distance from the focus to the sample in metres."""
    error: float
    """Error metric of the short reconstruction with this defocus, on frames held out of it."""
    object: NDArray[np.complex64]
    """Object of that reconstruction, shape (ny, nx), around the frames that were used."""
    usual: float
    """Median of such errors over all defoci."""


def search_defocus(scan: Scan, problem: Problem, recipe: Recipe, *, steps: int = 10, rounds: int = 2) -> Defocused:
    """Return the probe that the mean diffraction pattern implies, at the defocus that explains the frames best.

    The amplitude of the probe's spectrum is that of the mean pattern, its phase that of a defocus. A short
    reconstruction of some neighbouring frames tells one defocus from another, over a coarse grid of them; the best of
    its minima are told apart by a longer one, and the best of those is found in some finer rounds. Frames held out are
    the judges: a small probe explains every frame for itself, all the better the more wrong the positions are, but not
    a frame that it has not seen. Of several processes the first one searches.
    """
    pattern, mask = problem.mean_pattern()
    focus = probe_from_pattern(pattern, mask, defocus=0.0, wavelength=scan.wavelength, pixel=scan.object_pixel)
    part, step = _middle(problem), largest_defocus(pattern, scan) / steps
    search = partial(_search, scan, part, widen(focus, problem.shape), recipe, step, steps, rounds)
    found: Defocused = problem.communicator.first(search)
    return found


def _search(
    scan: Scan, part: Problem, focus: NDArray[Any], recipe: Recipe, step: float, steps: int, rounds: int
) -> Defocused:
    """Return the best of the defoci up to so many steps, of a probe in focus, and around it in finer steps."""
    backend = CpuBackend(part, 1, recipe.threads)

    def tried(defocus: float, iterations: int) -> Defocused:
        probe = angular_spectrum(focus, defocus, scan.wavelength, scan.object_pixel)
        start = probe[None].astype(np.complex64)
        start *= np.float32(np.sqrt(part.photons) / np.linalg.norm(start))
        state = State(np.ones(part.object_shape, np.complex64), start, np.random.default_rng(recipe.seed))
        for state.iteration in range(iterations):
            rpie.step(state, backend, SEARCH_STAGE, Memory())
        error = backend.misfit(state, part.held_out if len(part.held_out) else part.used).error
        return Defocused(probe, defocus, error, state.object, np.nan)

    grid = [tried(k * step, SEARCH_ITERATIONS) for k in range(-steps, steps + 1)]
    best = _best_minimum(tried, grid)
    for _ in range(rounds):
        step /= 2.5
        finer = (tried(best.defocus + k * step, SEARCH_ITERATIONS) for k in (-2, -1, 0, 1, 2))
        best = min(finer, key=lambda each: each.error)
    return best._replace(usual=float(np.median([each.error for each in grid])))


def _best_minimum(tried: Callable[[float, int], Defocused], found: list[Defocused]) -> Defocused:
    """Return the best on a grid of defoci: of its `MINIMA` least minima, the one that a longer trial leaves least."""
    errors = np.pad([each.error for each in found], 1, constant_values=np.inf)
    lowest = [each for each, a, b in zip(found, errors, errors[2:], strict=False) if each.error <= min(a, b)]
    lowest = sorted(lowest, key=lambda each: each.error)[:MINIMA]
    if len(lowest) == 1:
        return lowest[0]
    return min((tried(each.defocus, LONGER * SEARCH_ITERATIONS) for each in lowest), key=lambda each: each.error)


def largest_defocus(pattern: NDArray[np.float64], scan: Scan) -> float:
    """Return the defocus in metres at which the lens's cone fills `LARGEST_BEAM` of the probe array."""
    y, x = (p / scan.detector.distance for p in scan.detector.pixel_size)
    width = min(n * step for n, step in zip(pattern.shape, scan.object_pixel, strict=True))
    return LARGEST_BEAM * width / (2 * numerical_aperture(pattern, (y, x)))


def _middle(problem: Problem) -> Problem:
    """Return the frames nearest to the middle of the scan as a problem of their own, every `JUDGE`-th held out."""
    pixels = problem.pixels[problem.used]
    part = problem.subset(problem.used[innermost(pixels, SEARCH_FRAMES)]).trimmed()
    chosen = part.used
    judges = np.arange(JUDGE // 2, len(chosen), JUDGE) if len(chosen) >= 4 * JUDGE else np.arange(0)
    return replace(part, used=np.setdiff1d(chosen, judges), held_out=judges, slices=None)
