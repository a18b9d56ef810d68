"""Estimated error of an image: two halves of the frames each correct the object, and the corrections are compared.

With the model of a result as the starting point, each half A, B of the frames does some steps of gradient descent on
its own object, at a fixed probe:

    O <- O + sum_j conj(P_j) chi_j / ((1 - alpha) rho + alpha max(rho)),   rho = sum_j |P_j|^2,   j in the half,

with the Poisson correction chi_j (`exitwave.engine.backend`). The images of the halves differ by D. If their errors are
independent, that of the image, to which all frames contribute, is ||D|| / 2. The same steps with simulated Poisson
counts of the model give D_0, the part of photon noise. Frames that contradict each other, because of wrong
positions or geometry, a lost trigger or a stuck detector, increase D but not D_0. Errors that all frames share are not
seen.

The halves are as for the Fourier ring correlation of half scans: B. Rieger et al., Opt. Express 32, 21767 (2024). The
simulated counts are a parametric bootstrap: B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), 6.5.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from exitwave.analysis.engine_problem import INVALID, engine_problem
from exitwave.analysis.error import ModelledFrame, modelled_frames
from exitwave.engine.backend import Backend, Step
from exitwave.engine.backends.create import make_backend
from exitwave.engine.problem import Problem
from exitwave.engine.state import State
from exitwave.frames import MissingFrames
from exitwave.positions.coverage import innermost
from exitwave.scan import Result

STEPS = 20
"""Steps of each half. In clean simulated scans of 1e5 to 1e9 photons a frame, the estimated error of the image was
then 0.74 to 0.98 times the true one, 0.59 to 0.66 times with 1e4 or 3e4; after 8 steps 0.66 to 0.89 and 0.42 to 0.47,
after 40 steps 0.75 to 1.01 and 0.64 to 0.73."""
STEP = Step(1.0, 0.05)
"""Length and regularisation of the steps."""
PIXELS = 2**22
"""Detector pixels times probe modes that are compared; this sets the number of frames."""
FRAMES = (24, 256)
"""Smallest and largest number of frames."""
FEWEST = 16
"""Smallest number of frames that are halved; also the number of neighbours that are searched for a partner."""
RIM, COVERED = 4, 0.1
"""Width in pixels of the rim of the covered area that is not compared, and probe density in each half, relative to the
median of the covered area, below which a pixel is not compared."""


class Halves(NamedTuple):
    """Comparison of the images that two halves of the frames prefer."""

    disagreement: float
    """Difference of the halves, divided by that of photon noise alone: 1 for a perfect model."""
    estimated_error: float
    """Estimated relative error of the object, as in `exitwave.analysis.compare.Comparison.error`."""
    noise_error: float
    """The part of it that photon noise alone would cause."""
    frames: int
    """Number of frames in both halves together."""


def compare_halves(result: Result) -> Halves | None:
    """Compare the images that two halves of the frames of a result prefer.

    Neighbouring frames are in different halves. Of a large scan, the frames nearest to the middle are used.

    Parameters
    ----------
    result : Result
        The result.

    Returns
    -------
    Halves or None
        None if the frames or the probe are missing, if there are fewer than `FEWEST` frames, if the sample is thick, or
        if the object has no contrast.

    Raises
    ------
    InputError
        If a position lies outside the object.
    """
    if isinstance(result.scan.patterns, MissingFrames) or not len(result.probe) or result.slices > 1:
        return None
    used = result.scan.used_frames
    number = int(np.clip(PIXELS // result.probe.size, *FRAMES))
    chosen = np.sort(used[innermost(result.positions[used, :2], number)]) if len(used) else used
    if len(chosen) < FEWEST or not np.isfinite(result.object).all():
        return None
    frames = list(modelled_frames(result, chosen))
    problem, state = engine_problem(result, frames)
    halves = pair_neighbours(result.positions[chosen, :2])
    area = _area(result, problem, state, halves)
    contrast = np.linalg.norm(result.object[area] - result.object[area].mean()) if area.any() else 0.0
    simulated = replace(problem, counts=_simulated(frames, near=result.scan.near is not None))
    found, noise = (np.linalg.norm(_difference(each, state, halves)[area]) for each in (problem, simulated))
    if not (contrast > 0 and noise > 0):
        return None
    return Halves(float(found / noise), float(found / contrast / 2), float(noise / contrast / 2), len(chosen))


def pair_neighbours(plane: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide points into two halves: neighbours form pairs, and each half gets one point of each pair.

    Pairs are formed from the rim inwards: the unpaired point farthest from the middle is paired with its nearest
    unpaired neighbour. Which of the two is in the first half is random, with a fixed seed.

    Parameters
    ----------
    plane : ndarray of shape (n, 2)
        Coordinates in any unit.

    Returns
    -------
    first, second : ndarray of int
        Sorted indices; with an odd number of points the first half has one more.
    """
    _, neighbours = cKDTree(plane).query(plane, k=min(len(plane), FEWEST))
    from_rim = np.argsort(-np.hypot(*(plane - plane.mean(axis=0)).T), kind="stable")
    rng, unpaired = np.random.default_rng(0), np.ones(len(plane), bool)
    halves: tuple[list[int], list[int]] = ([], [])
    single = []
    for one in from_rim:
        if not unpaired[one]:
            continue
        unpaired[one] = False
        partners = [other for other in neighbours[one] if unpaired[other]]
        if not partners:
            single.append(one)
            continue
        unpaired[partners[0]] = False
        first = int(rng.integers(2))
        halves[first].append(one)
        halves[1 - first].append(partners[0])
    for count, one in enumerate(single):
        halves[count % 2].append(one)
    first_half, second_half = (np.sort(np.array(half, np.int64)) for half in halves)
    return first_half, second_half


def _simulated(frames: list[ModelledFrame], *, near: bool) -> NDArray[np.float32]:
    """Return Poisson counts of the models, in the layout of a problem; lower bounds keep their counts."""
    rng = np.random.default_rng(0)
    drawn = [np.where(f.exceeded, f.counts, rng.poisson(np.maximum(f.model, 0))) for f in frames]
    counts = np.array([np.where(f.good, each, INVALID) for f, each in zip(frames, drawn, strict=True)], np.float32)
    return counts if near else np.fft.ifftshift(counts, axes=(1, 2))


def _difference(problem: Problem, state: State, halves: tuple[NDArray[np.int64], ...]) -> NDArray[np.complex128]:
    """Return the difference of the objects of two halves after some steps, shape (rows, columns)."""
    backend = make_backend(problem, len(state.probe))
    first, second = (_corrected(backend, state, half) for half in halves)
    return first - second


def _corrected(backend: Backend, state: State, frames: NDArray[np.int64]) -> NDArray[np.complex128]:
    """Return the object after some steps of gradient descent on some frames."""
    state = replace(state, object=state.object.copy())
    for _ in range(STEPS):
        sums = backend.gather(state, frames, probe=False, noise="Poisson")
        backend.descend(state.object, sums.object, sums.probe_density, STEP)
    return state.object.astype(np.complex128)


def _area(result: Result, problem: Problem, state: State, halves: tuple[NDArray[np.int64], ...]) -> NDArray[np.bool_]:
    """Return the pixels that both halves cover, without the rim of the covered area."""
    backend = make_backend(problem, len(state.probe))
    area = binary_erosion(result.mask > 0.5, iterations=RIM)
    for half in halves:
        density = backend.gather(state, half, probe=False).probe_density.copy()
        area = area & (density > COVERED * np.median(density[area])) if area.any() else area
    return np.asarray(area)
