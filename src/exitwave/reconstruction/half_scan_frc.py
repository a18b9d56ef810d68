"""The resolution of a result from its own data: two reconstructions, each from half of the photons, and their FRC."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from exitwave.analysis.compare import compare
from exitwave.analysis.noise_limit import noise_limit
from exitwave.analysis.verdict import NOISY
from exitwave.engine.recipe import Recipe, Stage, make_recipe
from exitwave.errors import InputError
from exitwave.frames import DerivedFrames, Frames, valid_counts
from exitwave.frc import FRC
from exitwave.reconstruction.iterate import Progress, iterate
from exitwave.scan import Result, Scan

FEWEST = 16
"""Frames that can be split in two."""
LOOKED_AT = 8
"""Frames, evenly spread, that are looked at for whether they hold whole counts."""
Split = Literal["counts", "frames"]


def half_scan_frc(
    result: Result, watch: Callable[[int, Progress], None] | None = None, *, split: Split | None = None
) -> FRC:
    """Reconstruct a result again from two halves of its scan, and correlate the two objects.

    The halves run the recipe of the result from its start, with the starting probe of the scan, on all frames, those
    held out too; only positions and distance, which the result has found, are not refined again. So the noise of both
    objects and probes is independent. (Halves that started from the probe found would share its errors, and agree where
    both are wrong; a result that was opened from a file has no other probe.) What they have in common, such as a
    distortion of the positions, no correlation of them can tell.

    Parameters
    ----------
    result : Result
        The result; its frames must be at hand.
    watch : callable, optional
        Called after every iteration with the number of the half, 1 or 2, and how far it is.
    split : {"counts", "frames"}, optional
        What is halved. ``counts``: every photon of every frame goes into one half or the other at random; two halves
        of Poisson counts are independent, and each is a scan of half the dose at the same positions. ``frames``: of
        every two neighbouring frames one goes into either half, which then has half of the overlap too. None takes the
        counts where the frames hold whole numbers and the result leaves less than `NOISY` times the error that photon
        noise does; otherwise what the halves of the counts share may be wrong, and the frames are taken.

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
        If there are too few frames, the frames are missing, or the halves do not cover a common area; or if counts are
        to be split that are not whole, or anything but counts or frames.

    Notes
    -----
    In simulated scans of 1e5 photons a frame or more (benchmarks/frc.py, 12 runs) halves of the counts gave 0.92 to
    1.10 times the resolution against the truth; with 3e4 or 5e4 photons 0.91 to 1.01, and 0.78 in one run of nine.
    Halves of the frames gave 0.91 to 1.25: less overlap makes them differ more than their photons say. What both halves
    have wrong in the same way, they do not know of: with less than a count a pixel and frame, coarse structure may
    agree between them that is not that of the sample.

    References
    ----------
    M. van Heel and M. Schatz, J. Struct. Biol. 151, 250 (2005): thresholds. P. B. Rosenthal and R. Henderson,
    J. Mol. Biol. 333, 721 (2003): from two halves to the whole and to the truth. B. Rieger et al., Opt. Express 32,
    21767 (2024): halves of the counts of one image.
    """
    tell, recipe, halves = watch or (lambda *_: None), _recipe(result), []
    split = split or usual_split(result)
    if split not in get_args(Split):
        raise InputError(
            "A scan has no such halves", found=str(split), remedy=f"Use one of {', '.join(get_args(Split))}"
        )
    scans = split_counts(result) if split == "counts" else [_half(result, part) for part in split_frames(result)]
    for number, scan in enumerate(scans, start=1):
        last = None
        for last in iterate(scan, recipe if split == "frames" else _fainter(recipe)):
            tell(number, last)
        assert last is not None  # a recipe has at least one iteration
        halves.append(last.result())
    return replace(compare(halves[0], halves[1]).frc, halves=split)


def usual_split(result: Result) -> Split:
    """Return what of a result's scan is halved where nothing is said; see `half_scan_frc`."""
    limit = noise_limit(result)
    return "counts" if _whole(result) and limit is not None and limit.ratio < NOISY else "frames"


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
    frames = result.scan.used_frames
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


def split_counts(result: Result) -> list[Scan]:
    """Return two scans with the positions that were found, each with every photon that the other one lacks.

    A dark frame and the power of a starting probe are halved with them. A saturated pixel keeps its counts: it stays
    saturated. Where the model takes saturation for a cap, that is halved too.

    Returns
    -------
    list of Scan
        Two; their frames are halved where they are read, see `HalfCounts`.

    Raises
    ------
    InputError
        If the counts are not whole.
    """
    if not _whole(result):
        remedy = "Split the frames: half_scan_frc(result, split='frames')"
        raise InputError("The counts cannot be split", found="counts that are not whole numbers", remedy=remedy)
    scan, half = result.scan, np.float32(0.5)
    dark, cap = scan.detector.dark, scan.detector.saturation
    if cap is not None and (result.recipe.get("detector") or {}).get("saturated") == "cap":
        cap /= 2
    same = replace(
        scan,
        positions=result.positions,
        detector=replace(scan.detector, dark=None if dark is None else half * dark, saturation=cap),
        probe=None if scan.probe is None else np.sqrt(half) * scan.probe,
    )
    saturation = scan.detector.saturation
    return [replace(same, patterns=HalfCounts(scan.patterns, saturation, second=second)) for second in (False, True)]


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


def _whole(result: Result) -> bool:
    """Say whether the frames hold whole numbers, as counts of photons are."""
    patterns = result.scan.patterns
    if patterns.dtype.kind in "iu":
        return True
    frames = patterns.pick(np.unique(np.linspace(0, len(patterns) - 1, LOOKED_AT).astype(int)))
    return all(bool((frame[good] == np.rint(frame[good])).all()) for frame in frames for good in [valid_counts(frame)])


def _fainter(recipe: Recipe) -> Recipe:
    """Return a recipe for half of the counts: a background in counts is halved."""
    level = recipe.detector.background
    if not isinstance(level, int | float):
        return recipe
    return recipe.model_copy(update={"detector": recipe.detector.model_copy(update={"background": level / 2})})


class HalfCounts(DerivedFrames):
    """Frames with a random half of the counts of others, shape (npos, ny, nx): binomial, the same at every reading.

    Parameters
    ----------
    source : Frames
        Frames of whole counts.
    saturation : float or None
        Counts from which on a pixel is saturated; those, and pixels without a measurement, are left as they are.
    second : bool
        Whether this is what the first half leaves.
    """

    def __init__(self, source: Frames, saturation: float | None, *, second: bool) -> None:
        self.source, self.second = source, second
        self.saturation = np.inf if saturation is None else saturation
        self.path, self.dataset, self.shape, self.dtype = source.path, source.dataset, source.shape, source.dtype

    @property
    def bytes_per_frame(self) -> int:
        """Bytes that a frame may take on its way."""
        return 2 * self.source.bytes_per_frame

    def _iterate(self, indices: Iterable[Any]) -> Iterator[NDArray[Any]]:
        wanted = list(indices)
        for index, stack in zip(wanted, self.source._iterate(wanted), strict=True):
            frames = np.arange(len(self))[index]
            halved = [
                self._half(int(j), each)
                for j, each in zip(np.atleast_1d(frames), stack.reshape(-1, *self.shape[1:]), strict=True)
            ]
            yield np.array(halved, self.dtype).reshape(stack.shape)

    def _half(self, frame: int, counts: NDArray[Any]) -> NDArray[Any]:
        """Return the half of one frame."""
        photons = valid_counts(counts) & (counts < self.saturation)
        there = np.where(photons, counts, 0).astype(np.int64)
        first = np.random.default_rng(frame).binomial(there, 0.5)
        return np.where(photons, there - first if self.second else first, counts)
