"""Resolution of a result without the truth: Fourier ring correlation of reconstructions of two halves of the scan."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from exitwave.analysis.compare import compare
from exitwave.analysis.deviance import deviance_of_used
from exitwave.analysis.halves import FEWEST, pair_neighbours
from exitwave.engine.recipe import Recipe, Stage, make_recipe
from exitwave.errors import InputError
from exitwave.frames import DerivedFrames, Frames, valid_counts
from exitwave.frames.damage import Damage
from exitwave.frc import FRC
from exitwave.reconstruction.iterate import Progress, iterate
from exitwave.scan import Result, Scan

NOISY = 1.5
"""Deviance of the counts, relative to that of photon noise, up to which photon noise dominates."""
CHECKED_FRAMES = 8
"""Number of frames, evenly distributed, that are checked for whole counts."""
Split = Literal["counts", "frames"]


def half_scan_frc(
    result: Result, on_progress: Callable[[int, Progress], None] | None = None, *, split: Split | None = None
) -> FRC:
    """Reconstruct two halves of a result's scan, and return the Fourier ring correlation of the two objects.

    The halves run the recipe of the result from its start, with the starting probe of the scan, on all frames including
    held-out ones. Positions and detector distance are those of the result and are not refined again. So the noise of
    both objects and probes is independent. (Halves that start from the refined probe would share its errors, and agree
    where both are wrong. A result that was opened from a file has no other probe.) Errors that the halves have in
    common, such as a distortion of the positions, do not reduce the correlation.

    Parameters
    ----------
    result : Result
        The result; its frames must be available.
    on_progress : callable, optional
        Called after every iteration with the number of the half, 1 or 2, and its progress.
    split : {"counts", "frames"}, optional
        What is halved. ``counts``: every photon of every frame goes into one half or the other at random; two halves
        of Poisson counts are independent, and each is a scan with half the dose at the same positions. ``frames``: of
        every two neighbouring frames one goes into each half, which also has half of the overlap. By default the counts
        are split if the frames hold whole numbers and deviate less than `NOISY` times as much from the model as photon
        noise does; otherwise the model has errors that both halves of the counts would share, and the frames are split.

    Returns
    -------
    FRC
        Of the largest rectangle that both halves cover, after removal of their shift, ramp and scale. The threshold is
        that of half a bit in *both halves together*, a signal-to-noise ratio S of (sqrt(2) - 1) / 2 in each half. With
        twice the photons S doubles, so this is where the whole scan has S = sqrt(2) - 1. There the whole correlates
        with the truth as C = sqrt(2 F / (1 + F)), with the correlation F of the halves.

    Raises
    ------
    InputError
        If there are too few frames, the frames are missing, the halves do not cover a common area, counts to be split
        are not whole numbers, or ``split`` is unknown.

    Notes
    -----
    In simulated scans with 1e5 photons per frame or more (benchmarks/frc.py, 12 runs) halves of the counts gave 0.92 to
    1.10 times the resolution relative to the truth; with 3e4 or 5e4 photons 0.91 to 1.01, and 0.78 in one run of nine.
    Halves of the frames gave 0.91 to 1.25: because they have less overlap, they differ more than by photon noise.
    Errors that both halves share are not detected: with less than one count per pixel and frame, coarse structure may
    agree that is not that of the sample.

    References
    ----------
    M. van Heel and M. Schatz, J. Struct. Biol. 151, 250 (2005): thresholds. P. B. Rosenthal and R. Henderson,
    J. Mol. Biol. 333, 721 (2003): from two halves to the whole and to the truth. B. Rieger et al., Opt. Express 32,
    21767 (2024): halves of the counts of one image.
    """
    report, recipe, halves = on_progress or (lambda *_: None), _recipe(result), []
    split = split or default_split(result)
    if split not in get_args(Split):
        remedy = f"Use one of {', '.join(get_args(Split))}"
        raise InputError("Unknown value of split", found=repr(split), remedy=remedy)
    scans = split_counts(result) if split == "counts" else [_scan_of(result, half) for half in split_frames(result)]
    for number, scan in enumerate(scans, start=1):
        last = None
        for last in iterate(scan, recipe if split == "frames" else _with_half_background(recipe)):
            report(number, last)
        assert last is not None  # a recipe has at least one iteration
        halves.append(last.result())
    return replace(compare(halves[0], halves[1]).frc, halves=split)


def default_split(result: Result) -> Split:
    """Return what is halved by default; see `half_scan_frc`."""
    deviance = deviance_of_used(result)
    noisy = deviance is not None and deviance.ratio < NOISY
    return "counts" if noisy and _has_whole_counts(result) else "frames"


def split_frames(result: Result) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the frames of two halves: of two neighbours, one is in each half; see `pair_neighbours`.

    Held-out frames are included; frames that are left out are not.

    Returns
    -------
    first, second : ndarray of int
        Sorted indices; with an odd number of frames the first half has one more.

    Raises
    ------
    InputError
        If there are fewer than `FEWEST` frames.
    """
    frames = result.scan.used_frames
    if len(frames) < FEWEST:
        remedy = f"Remove --frc; the resolution can be measured with {FEWEST} frames or more"
        raise InputError("There are too few frames to split them", found=f"{len(frames)} frames", remedy=remedy)
    first, second = pair_neighbours(result.positions[frames, :2])
    return frames[first], frames[second]


def split_counts(result: Result) -> list[Scan]:
    """Return two scans with the refined positions; every photon is in one of them.

    The dark frame and the power of a starting probe are halved too. A saturated pixel keeps its counts, so that it
    stays saturated; if saturated pixels are lower bounds in the model, the saturation value is halved too.

    Returns
    -------
    list of Scan
        Two scans; their frames are halved when read, see `HalfCounts`.

    Raises
    ------
    InputError
        If the counts are not whole numbers.
    """
    if not _has_whole_counts(result):
        remedy = "Split the frames: half_scan_frc(result, split='frames')"
        raise InputError("The counts cannot be split: they are not whole numbers", remedy=remedy)
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
    """Return the recipe of a half: that of the result, without held-out frames and refinement of the geometry.

    A half runs as many iterations as the whole scan did, because without held-out frames convergence is not detected.
    """
    settings = {name: value for name, value in result.recipe.items() if name != "stages"}
    still: dict[str, Any] = {"position_update": None, "distance_update": None}
    left, stages = max(1, len(result.errors)), []
    for stage in result.recipe.get("stages") or [Stage().model_dump(mode="json")]:
        iterations = min(left, stage["iterations"])
        stages += [stage | still | {"iterations": iterations}] if iterations else []
        left -= iterations
    return make_recipe(settings | {"holdout": 0.0, "seconds": None, "patience": None, "stages": stages})


def _scan_of(result: Result, frames: NDArray[np.int64]) -> Scan:
    """Return the scan of some frames, with the refined positions."""
    others = np.setdiff1d(np.arange(len(result.positions)), frames)
    left_out = result.scan.left_out | {"of the other half": tuple(map(int, others))}
    return replace(result.scan, positions=result.positions, left_out=left_out)


def _has_whole_counts(result: Result) -> bool:
    """Return whether the frames hold whole numbers, like counts of photons."""
    patterns = result.scan.patterns
    if patterns.dtype.kind in "iu":
        return True
    frames = patterns.pick(np.unique(np.linspace(0, len(patterns) - 1, CHECKED_FRAMES).astype(int)))
    return all(bool((frame[good] == np.rint(frame[good])).all()) for frame in frames for good in [valid_counts(frame)])


def _with_half_background(recipe: Recipe) -> Recipe:
    """Return a recipe for half of the counts: a background in counts is halved."""
    level = recipe.detector.background
    if not isinstance(level, int | float):
        return recipe
    return recipe.model_copy(update={"detector": recipe.detector.model_copy(update={"background": level / 2})})


class HalfCounts(DerivedFrames):
    """Frames with a random half of the counts of other frames, shape (npos, ny, nx).

    The halves are binomial, and the same whenever they are read.

    Parameters
    ----------
    source : Frames
        Frames of whole counts.
    saturation : float or None
        Counts from which on a pixel is saturated. Saturated pixels and pixels without a measurement do not change.
    second : bool
        Whether this is the second half: the counts that are not in the first one.
    """

    def __init__(self, source: Frames, saturation: float | None, *, second: bool) -> None:
        self.source, self.second = source, second
        self.saturation = np.inf if saturation is None else saturation
        self.path, self.dataset, self.shape, self.dtype = source.path, source.dataset, source.shape, source.dtype

    @property
    def damage(self) -> Damage:
        """The frames of the source that could not be read so far."""
        return self.source.damage

    @property
    def bytes_per_frame(self) -> int:
        """Memory in bytes for reading one frame."""
        return 2 * self.source.bytes_per_frame

    def _iterate(self, indices: Iterable[Any]) -> Iterator[NDArray[Any]]:
        wanted = list(indices)
        for index, patterns in zip(wanted, self.source._iterate(wanted), strict=True):
            frames = np.atleast_1d(np.arange(len(self))[index])
            counts = patterns.reshape(-1, *self.shape[1:])
            halved = [self._half(int(frame), each) for frame, each in zip(frames, counts, strict=True)]
            yield np.array(halved, self.dtype).reshape(patterns.shape)

    def _half(self, frame: int, counts: NDArray[Any]) -> NDArray[Any]:
        """Return the half of one frame."""
        valid = valid_counts(counts) & (counts < self.saturation)
        photons = np.where(valid, counts, 0).astype(np.int64)
        first = np.random.default_rng(frame).binomial(photons, 0.5)
        return np.where(valid, photons - first if self.second else first, counts)
