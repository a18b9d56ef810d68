"""Several scans in one reconstruction: of one object, with one probe, or both.

Scans with one probe lie side by side on one canvas, each on a grid of its own, so that one object array holds all
objects: to algorithms and backends it is one scan. Scans of one object with one probe are one scan anyway.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError
from exitwave.frames import Frames
from exitwave.positions.grid import object_grid
from exitwave.reconstruction.loading import Grid
from exitwave.scan import Detector, Result, Scan

Share = Literal["probe", "both"]
"""What scans have in common: the probe, or object and probe."""
SHARE: tuple[Share, ...] = get_args(Share)
ALIKE = 1e-4
"""Relative difference of wavelengths and of object pixels that makes no difference: 0.05 pixels over 500."""


class JointFrames(Frames):
    """The frames of several scans, one after the other, shape (npos, ny, nx); read when sliced.

    Dark frames are subtracted, and counts that their own detector does not trust are NaN, where detectors differ.
    """

    def __init__(self, scans: Sequence[Scan], *, clean: bool) -> None:
        self.path, self.dataset = None, ""
        self._scans, self._clean = scans, clean
        self._starts = np.cumsum([0, *(len(scan.patterns) for scan in scans)])
        self.shape = (int(self._starts[-1]), *scans[0].patterns.shape[1:])
        self.dtype = np.dtype(np.float32) if clean else np.result_type(*(scan.patterns.dtype for scan in scans))

    def __getitem__(self, index: Any) -> NDArray[Any]:
        frames, *rest = index if isinstance(index, tuple) else (index,)
        wanted = np.arange(len(self))[frames]
        stack = np.empty((wanted.size, *self.shape[1:]), self.dtype)
        for number, scan in enumerate(self._scans):
            own = wanted.ravel() - self._starts[number]
            mine = np.flatnonzero((own >= 0) & (own < len(scan.patterns)))
            for place, counts in zip(mine, scan.patterns.pick(own[mine]), strict=True):
                stack[place] = cleaned(counts, scan.detector) if self._clean else counts
        return stack.reshape(*wanted.shape, *self.shape[1:])[(*[slice(None)] * wanted.ndim, *rest)]


def cleaned(counts: NDArray[Any], detector: Detector) -> NDArray[np.float32]:
    """Return counts less the dark frame, with NaN in the place of those that are not measurements."""
    good = detector.usable(counts)
    return np.where(good | (detector.mask != 0), detector.without_dark(counts), np.nan).astype(np.float32)


@dataclass(frozen=True)
class Part:
    """One of several scans, and where it is among the others."""

    scan: Scan
    frames: slice
    """Its frames among those of all."""
    grid: Grid
    """Its object's pixels y, x in metres."""
    rows: slice
    """Rows of the canvas that are its object."""
    nominal: NDArray[np.float64]
    """Its positions on the canvas in metres, before any refinement, shape (npos, 3)."""

    def among(self, frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of some frames that are its own."""
        return frames[(frames >= self.frames.start) & (frames < self.frames.stop)]


@dataclass(frozen=True)
class Joint:
    """Several scans as one."""

    scan: Scan
    parts: tuple[Part, ...]
    share: Share


def join(scans: Sequence[Any], share: str | None) -> Joint:
    """Return several scans as one.

    Raises
    ------
    InputError
        If there are fewer than two scans, they do not say what they share, or they do not agree.
    """
    check(scans, share)
    mask = np.bitwise_or.reduce([~scan.detector.always_good for scan in scans]).astype(np.uint8)
    scans = [replace(scan, detector=replace(scan.detector, mask=mask)) for scan in scans]
    grids, offsets, rows = layout(scans, share)
    clean = any(s.detector.dark is not None or s.detector.saturation != scans[0].detector.saturation for s in scans)
    first = scans[0]
    detector = replace(first.detector, dark=None, saturation=None) if clean else first.detector
    ends = np.cumsum([len(scan.positions) for scan in scans])
    parts = tuple(
        Part(scan, slice(int(end) - len(scan.positions), int(end)), grid, place, scan.positions + offset)
        for scan, end, grid, place, offset in zip(scans, ends, grids, rows, offsets, strict=True)
    )
    joint = replace(
        first,
        patterns=JointFrames(scans, clean=clean),
        positions=np.concatenate([part.nominal for part in parts]),
        detector=detector,
        probe=next((scan.probe for scan in scans if scan.probe is not None), None),
        truth=None,
        monitor=_all_monitors(scans),
        left_out=_all_left_out(parts),
        preparation=(),
        path=None,
        findings=tuple(finding for scan in scans for finding in scan.findings),
    )
    return Joint(joint, parts, "probe" if share == "probe" else "both")


def _all_monitors(scans: Sequence[Scan]) -> NDArray[np.float64] | None:
    """Return the monitor of all frames, relative to each scan's mean, for their units may differ; None if one lacks."""
    known = [scan.monitor / scan.monitor.mean() for scan in scans if scan.monitor is not None]
    return np.concatenate(known) if len(known) == len(scans) else None


def _left_out_of(result: Result, part: Part) -> dict[str, tuple[int, ...]]:
    """Return which frames of one scan were not used, by the reason."""
    own = {why: part.among(np.array(frames, np.int64)) for why, frames in result.scan.left_out.items()}
    return {why: tuple((frames - part.frames.start).tolist()) for why, frames in own.items() if len(frames)}


def _all_left_out(parts: tuple["Part", ...]) -> dict[str, tuple[int, ...]]:
    """Return which of all frames are not to be used, by the reason."""
    merged: dict[str, tuple[int, ...]] = {}
    for part in parts:
        for why, frames in part.scan.left_out.items():
            merged[why] = (*merged.get(why, ()), *(part.frames.start + frame for frame in frames))
    return merged


def check(scans: Sequence[Any], share: str | None) -> None:
    """Refuse scans that cannot be reconstructed together."""
    if share not in SHARE:
        remedy = 'Say what the scans have in common: share="probe" or share="both" (object and probe)'
        raise InputError("Not something that scans can share", found=repr(share), remedy=remedy)
    if len(scans) < 2 or not all(isinstance(scan, Scan) for scan in scans):
        found = ", ".join(type(scan).__name__ for scan in scans) or "none"
        raise InputError("Only scans, two or more, share something", found=found, remedy="Open their files first")
    first = scans[0]
    for other in scans[1:]:
        pixels = np.array(other.object_pixel) / first.object_pixel
        differences = {
            "the shape of the frames": (first.patterns.shape[1:], other.patterns.shape[1:], 0.0),
            "the wavelength": (first.wavelength, other.wavelength, abs(other.wavelength / first.wavelength - 1)),
            "the object pixel": (first.object_pixel, other.object_pixel, float(np.abs(pixels - 1).max())),
            "the near or far field": (first.near, other.near, 0.0 if first.near == other.near else 1.0),
        }
        for what, (here, there, difference) in differences.items():
            if difference > ALIKE or (what == "the shape of the frames" and here != there):
                raise InputError(
                    f"The scans do not agree in {what}",
                    where=other.path or other.name,
                    found=f"{there}, where the first scan has {here}",
                    remedy="Reconstruct them one by one, or bring frames and geometry to one size first",
                )


def layout(scans: Sequence[Scan], share: str | None) -> tuple[list[Grid], list[NDArray[np.float64]], list[slice]]:
    """Return of every scan its object's grid, what is added to its positions on the canvas, and its rows there.

    Grids have margins as wide as the probe's array, so that no beam reaches from one object to the next.
    """
    shape, pixel = scans[0].patterns.shape[1:], scans[0].object_pixel
    if share == "both":
        grid = object_grid(np.concatenate([scan.positions for scan in scans]), shape, pixel)
        return [grid] * len(scans), [np.zeros(3)] * len(scans), [slice(0, len(grid[0]))] * len(scans)
    grids = [object_grid(scan.positions, shape, pixel) for scan in scans]
    starts = np.cumsum([0, *(len(y) for y, _ in grids)])
    (top, *_), (left, *_) = grids[0]
    offsets = [
        np.array([left - x[0], top + start * pixel[0] - y[0], 0.0])
        for (y, x), start in zip(grids, starts[:-1], strict=True)
    ]
    return grids, offsets, [slice(int(a), int(b)) for a, b in pairwise(starts)]


def part_of(result: Result, part: Part, error: float, holdout: float, digest: str) -> Result:
    """Return what belongs to one scan of the result of all. The last errors are those of its own frames."""
    count, (y, x) = len(result.positions), part.grid
    own = {name: value[part.frames] if len(value) == count else value for name, value in result.model.items()}
    window = part.rows, slice(0, len(x))
    held_out = part.among(result.held_out)
    holdout_errors = (
        np.append(result.holdout_errors[:-1], np.float32(holdout)) if len(held_out) else np.zeros(0, np.float32)
    )
    moved = result.positions[part.frames] - part.nominal
    return replace(
        result,
        scan=replace(part.scan, near=result.scan.near, left_out=_left_out_of(result, part)),
        object=np.ascontiguousarray(result.object[(..., *window)]),
        mask=np.ascontiguousarray(result.mask[window]),
        x=x,
        y=y,
        positions=part.scan.positions + moved,
        errors=np.append(result.errors[:-1], np.float32(error)),
        holdout_errors=holdout_errors,
        held_out=held_out - part.frames.start,
        model=own,
        provenance=result.provenance | {"input": str(part.scan.path or ""), "digest": digest},
    )
