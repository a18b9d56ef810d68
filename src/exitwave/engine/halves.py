"""The resolution of a result from its own data: two reconstructions, each from half of the frames, and their FRC."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from exitwave.analysis.compare import compare
from exitwave.analysis.frc import FRC
from exitwave.engine.recipe import Recipe, Stage, make_recipe
from exitwave.engine.run import Progress, iterate
from exitwave.errors import InputError
from exitwave.scan import Result, Scan

FEWEST = 16
"""Frames that can be split in two."""


def half_scan_frc(result: Result, watch: Callable[[int, Progress], None] | None = None) -> FRC:
    """Reconstruct a result again from two halves of its frames, and correlate the two objects.

    Of every two neighbouring frames one goes into either half, those held out too. Both run the recipe of the result
    from its start, with the starting probe of the scan; only positions and distance, which the result has found, are
    not refined again. So the noise of both objects and probes is independent. (Halves that started from the probe found
    would share its errors, and agree where both are wrong; a result that was opened from a file has no other probe.)
    What the halves have in common, such as a distortion of the positions, no correlation of them can tell.

    Parameters
    ----------
    result : Result
        The result; its frames must be at hand.
    watch : callable, optional
        Called after every iteration with the number of the half, 1 or 2, and how far it is.

    Returns
    -------
    FRC
        Over the largest rectangle that both halves cover, after their shift, ramp and scale are taken away. The
        threshold is that of half a bit in *both halves together*, a signal-to-noise ratio S of (sqrt(2) - 1) / 2 in
        either; with twice the photons S doubles, so this is where the whole scan has S = sqrt(2) - 1, as it is where
        the whole correlates with the truth as C = sqrt(2 F / (1 + F)), F the correlation of the halves.

    Raises
    ------
    InputError
        If there are too few frames, the frames are missing, or the halves do not cover a common area.

    Notes
    -----
    A half has half of the overlap as well, and faint speckles tell less of the object than their photons say. So the
    estimate is on the safe side: 0.95 to 1.25 times the resolution against the truth in seven simulated scans that end
    with ML (benchmarks/frc.py), in most within 16 %; up to 1.35 with mPIE alone. What both halves have wrong in the
    same way, they do not know of: with less than a count a pixel and frame, coarse structure may agree between them
    that is not that of the sample.

    References
    ----------
    M. van Heel and M. Schatz, J. Struct. Biol. 151, 250 (2005): thresholds. P. B. Rosenthal and R. Henderson,
    J. Mol. Biol. 333, 721 (2003): from two halves to the whole and to the truth.
    """
    tell, recipe, halves = watch or (lambda *_: None), _recipe(result), []
    for number, frames in enumerate(split_frames(result), start=1):
        last = None
        for last in iterate(_half(result, frames), recipe):
            tell(number, last)
        assert last is not None  # a recipe has at least one iteration
        halves.append(last.result())
    return compare(halves[0], halves[1]).frc


def split_frames(result: Result) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the frames of two halves: neighbours in pairs, one of each pair in either half.

    Held-out frames count; frames left out do not. Pairs are made along the scan in the plane: the frame that is
    farthest from the middle and not in a pair yet gets its nearest neighbour that is free.

    Returns
    -------
    first, second : ndarray of int
        Sorted indices; of an odd number of frames the first has one more.

    Raises
    ------
    InputError
        If there are fewer than `FEWEST` frames.
    """
    frames = result.scan.wanted
    if len(frames) < FEWEST:
        remedy = "Leave --frc out; so small a scan has no resolution to speak of"
        raise InputError("There are too few frames to split them", found=f"{len(frames)} frames", remedy=remedy)
    plane = result.positions[frames, :2]
    _, neighbours = cKDTree(plane).query(plane, k=min(len(frames), FEWEST))
    far = np.argsort(-np.hypot(*(plane - plane.mean(axis=0)).T), kind="stable")
    rng, free = np.random.default_rng(0), np.ones(len(frames), bool)
    halves: tuple[list[int], list[int]] = ([], [])
    alone = []
    for one in far:
        if not free[one]:
            continue
        free[one] = False
        others = [other for other in neighbours[one] if free[other]]
        if not others:
            alone.append(one)
            continue
        free[others[0]] = False
        first = int(rng.integers(2))
        halves[first].append(one)
        halves[1 - first].append(others[0])
    for count, one in enumerate(alone):
        halves[count % 2].append(one)
    first_half, second_half = (np.sort(frames[np.array(half, np.int64)]) for half in halves)
    return first_half, second_half


def _recipe(result: Result) -> Recipe:
    """Return the recipe of a half: that of the result, without what tears the halves apart or ends them early.

    There are no frames to say when a half has converged; it takes as many iterations as the whole scan did.
    """
    settings = {name: value for name, value in result.recipe.items() if name != "stages"}
    still: dict[str, Any] = {"position_update": None, "distance_update": None}
    left, stages = max(1, len(result.errors)), []
    for stage in result.recipe.get("stages") or [Stage().model_dump(mode="json")]:
        iterations = min(left, stage["iterations"])
        stages += [stage | still | {"iterations": iterations}] if iterations else []
        left -= iterations
    return make_recipe(settings | {"holdout": 0.0, "seconds": None, "patience": None, "stages": stages})


def _half(result: Result, frames: NDArray[np.int64]) -> Scan:
    """Return the scan of some frames, with the positions that were found."""
    others = np.setdiff1d(np.arange(len(result.positions)), frames)
    left_out = result.scan.left_out | {"of the other half": tuple(map(int, others))}
    return replace(result.scan, positions=result.positions, left_out=left_out)
