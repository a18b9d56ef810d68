"""The starting probe: from the scan, or from the data."""

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
"""Number of frames around the middle of the scan on which the defocus is searched."""
HOLDOUT_INTERVAL = 5
"""Every n-th of them is held out of the search to judge it."""
SEARCH_ITERATIONS = 8
SEARCH_STAGE = Stage(algorithm="rPIE", batch=8, object_update=Update(alpha=0.05), probe_update=Update(alpha=0.5))
"""Iterations for each defocus, and their settings."""
MINIMA, LONGER = 3, 4
"""Number of minima of the error that are tried again, and the factor by which the trial is longer."""
LARGEST_BEAM = 0.7
"""Diameter of the geometric beam at the largest defocus of the search, in widths of the probe array."""


def starting_probe(
    scan: Scan, problem: Problem, recipe: Recipe, announce: Callable[[str], None]
) -> NDArray[np.complex64]:
    """Return the starting modes, shape (modes, ny, nx).

    If the probe is updated, its power is set to the mean counts of a frame.

    Raises
    ------
    InputError
        If the recipe selects the scan's probe and there is none, or it does not fit the frames or the number of modes.
    """
    source = recipe.probe or ("auto" if scan.probe is None else "file")
    if source == "file":
        fits = scan.probe is not None and scan.probe.shape[-2:] == problem.shape
        frame = (problem.counts.shape[1], problem.counts.shape[2])
        probe = check_probe(scan.probe, problem.shape if fits else frame, scan.path or "the scan")
    else:
        probe = _from_images(problem) if scan.near else _from_patterns(scan, problem, recipe, announce)
    probe = fit_modes(pad(probe, problem.shape), recipe.modes)
    if recipe.updates_probe:
        probe = probe * np.sqrt(problem.photons / (np.abs(probe) ** 2).sum())
    return np.ascontiguousarray(probe, np.complex64)


def fit_modes(probe: NDArray[np.complex64], modes: int | None) -> NDArray[np.complex64]:
    """Return a copy of the probe, shape (modes, ny, nx), with further starting modes added to a single one.

    Raises
    ------
    InputError
        If the probe has several modes, but not the required number.
    """
    if modes in (None, len(probe)):
        return probe.copy()
    if len(probe) > 1:
        remedy = f"Remove the setting modes, or set it to {len(probe)}, or start with --probe auto"
        found = f"{len(probe)}, not {modes}"
        raise InputError("The starting probe has another number of modes than the recipe", found=found, remedy=remedy)
    return starting_modes(probe, modes)


def pad(waves: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Return waves in a larger array with zeros around them; index n//2 stays the centre."""
    missing = [(n // 2 - m // 2, n - m - (n // 2 - m // 2)) for n, m in zip(shape, waves.shape[-2:], strict=True)]
    return np.pad(waves, [(0, 0)] * (waves.ndim - 2) + missing)


def check_probe(probe: NDArray[np.complex64] | None, shape: tuple[int, int], where: object) -> NDArray[np.complex64]:
    """Return a given probe with the shape (modes, ny, nx).

    Raises
    ------
    InputError
        If there is no probe, it has another shape than the frames, or it is zero or not finite.
    """
    remedy = "Start from the data with --probe auto, or give a file with a probe with --probe PATH"
    if probe is None:
        raise InputError("There is no starting probe", where=where, found="none", remedy=remedy)
    if probe.shape[-2:] != shape:
        found = f"{probe.shape[-2:]} for frames of {shape}"
        raise InputError("The starting probe does not fit the frames", where=where, found=found, remedy=remedy)
    if not (np.isfinite(probe).all() and np.any(probe)):
        raise InputError("The starting probe is zero or not finite", where=where, found="zeros or NaN", remedy=remedy)
    return probe.reshape(-1, *shape)


def _from_images(problem: Problem) -> NDArray[np.complex64]:
    """Return the probe from the mean near-field image: its square root with a flat phase, propagated back.

    The sample contributes little to the mean, because it moves between frames.
    """
    assert problem.propagator is not None
    mean, bad = problem.mean()
    amplitude = np.sqrt(np.where(bad, np.median(mean[~bad]), mean))
    return problem.propagator.back(amplitude, np.zeros(2))[None].astype(np.complex64)


def _from_patterns(
    scan: Scan, problem: Problem, recipe: Recipe, announce: Callable[[str], None]
) -> NDArray[np.complex64]:
    """Return the probe from the mean diffraction pattern and the best defocus, shape (1, ny, nx)."""
    announce("searching the defocus of the probe")
    found = search_defocus(scan, problem, recipe)
    announce(f"starting probe: defocus {found.defocus * 1e6:+.0f} um")
    probe = found.probe
    if problem.slices:  # the search assumes a thin sample, in the middle of the thick one
        back = problem.slices.transfer(-(problem.slices.number - 1) / 2)
        probe = np.fft.ifft2(np.fft.fft2(probe) * back)
    return probe[None].astype(np.complex64)


class DefocusedProbe(NamedTuple):
    """A probe that was found in the data."""

    probe: NDArray[np.complexfloating[Any, Any]]
    """Shape (ny, nx)."""
    defocus: float
    """Distance from the focus to the sample in metres."""
    error: float
    """Error metric of the short reconstruction with this defocus, on its held-out frames."""
    object: NDArray[np.complex64]
    """Object of that reconstruction, shape (ny, nx), around the frames that were used."""
    median_error: float
    """Median of these errors over all defoci."""


def search_defocus(
    scan: Scan, problem: Problem, recipe: Recipe, *, steps: int = 10, refinements: int = 2
) -> DefocusedProbe:
    """Return the probe from the mean diffraction pattern, at the defocus that explains the frames best.

    The amplitude of the probe's spectrum is that of the mean pattern, its phase that of a defocus. Short
    reconstructions of frames in the middle of the scan compare the defoci of a coarse grid. Longer reconstructions
    compare the lowest minima, and finer steps refine the best one. The defoci are judged by held-out frames, because a
    small probe can explain each frame separately (the better, the more wrong the positions are), but not a held-out
    one. Of several processes the first one searches.
    """
    pattern, mask = problem.mean_pattern()
    focus = probe_from_pattern(pattern, mask, defocus=0.0, wavelength=scan.wavelength, pixel=scan.object_pixel)
    part, step = _central_frames(problem), largest_defocus(pattern, scan) / steps
    search = partial(_search, scan, part, pad(focus, problem.shape), recipe, step, steps, refinements)
    found: DefocusedProbe = problem.communicator.first(search)
    return found


def _search(
    scan: Scan, part: Problem, focus: NDArray[Any], recipe: Recipe, step: float, steps: int, refinements: int
) -> DefocusedProbe:
    """Return the best of the defoci up to ``steps`` steps from the focus, refined in finer steps."""
    backend = CpuBackend(part, 1, recipe.threads)

    def reconstruct(defocus: float, iterations: int) -> DefocusedProbe:
        probe = angular_spectrum(focus, defocus, scan.wavelength, scan.object_pixel)
        start = probe[None].astype(np.complex64)
        start *= np.float32(np.sqrt(part.photons) / np.linalg.norm(start))
        state = State(np.ones(part.object_shape, np.complex64), start, np.random.default_rng(recipe.seed))
        for state.iteration in range(iterations):
            rpie.step(state, backend, SEARCH_STAGE, Memory())
        error = backend.misfit(state, part.held_out if len(part.held_out) else part.used).error
        return DefocusedProbe(probe, defocus, error, state.object, np.nan)

    grid = [reconstruct(k * step, SEARCH_ITERATIONS) for k in range(-steps, steps + 1)]
    best = _best_minimum(reconstruct, grid)
    for _ in range(refinements):
        step /= 2.5
        finer = (reconstruct(best.defocus + k * step, SEARCH_ITERATIONS) for k in (-2, -1, 0, 1, 2))
        best = min(finer, key=lambda each: each.error)
    return best._replace(median_error=float(np.median([each.error for each in grid])))


def _best_minimum(reconstruct: Callable[[float, int], DefocusedProbe], grid: list[DefocusedProbe]) -> DefocusedProbe:
    """Return the best on a grid of defoci: of its `MINIMA` lowest minima, the one with the lowest error in the end."""
    errors = np.pad([each.error for each in grid], 1, constant_values=np.inf)
    minima = [each for each, a, b in zip(grid, errors, errors[2:], strict=False) if each.error <= min(a, b)]
    minima = sorted(minima, key=lambda each: each.error)[:MINIMA]
    if len(minima) == 1:
        return minima[0]
    return min((reconstruct(each.defocus, LONGER * SEARCH_ITERATIONS) for each in minima), key=lambda each: each.error)


def largest_defocus(pattern: NDArray[np.float64], scan: Scan) -> float:
    """Return the defocus in metres at which the geometric beam fills `LARGEST_BEAM` of the probe array."""
    y, x = (p / scan.detector.distance for p in scan.detector.pixel_size)
    width = min(n * step for n, step in zip(pattern.shape, scan.object_pixel, strict=True))
    return LARGEST_BEAM * width / (2 * numerical_aperture(pattern, (y, x)))


def _central_frames(problem: Problem) -> Problem:
    """Return the problem of the frames nearest to the middle of the scan, every `HOLDOUT_INTERVAL`-th held out."""
    pixels = problem.pixels[problem.used]
    part = problem.subset(problem.used[innermost(pixels, SEARCH_FRAMES)]).trimmed()
    frames, n = part.used, HOLDOUT_INTERVAL
    held_out = np.arange(n // 2, len(frames), n) if len(frames) >= 4 * n else np.arange(0)
    return replace(part, used=np.setdiff1d(frames, held_out), held_out=held_out, slices=None)
