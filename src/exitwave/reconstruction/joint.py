"""Joint reconstruction of several scans that share the probe, or object and probe.

Scans that share only the probe lie side by side on one canvas, each on its own grid, so that one object array holds all
objects: algorithms and backends see one scan. Scans that share object and probe are one scan with more frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError
from exitwave.frames import Frames, no_measurement
from exitwave.frames.input_record import InputRecord
from exitwave.positions.grid import object_grid
from exitwave.reconstruction.loading import Grid
from exitwave.scan import Detector, Result, Scan

Share = Literal["probe", "both"]
"""What scans share: the probe, or object and probe."""
SHARE: tuple[Share, ...] = get_args(Share)
TOLERANCE = 1e-4
"""Relative difference of wavelengths and of object pixels that is allowed: 0.05 pixels over 500."""


class JointFrames(Frames):
    """The frames of several scans in order, shape (npos, ny, nx); read when sliced.

    If the detectors differ, dark frames are subtracted, and counts that are unusable in their own detector are NaN.
    """

    def __init__(self, scans: Sequence[Scan], *, corrected: bool) -> None:
        self.path, self.dataset = None, ""
        self.scans, self._corrected = scans, corrected
        self._starts = np.cumsum([0, *(len(scan.patterns) for scan in scans)])
        self.shape = (int(self._starts[-1]), *scans[0].patterns.shape[1:])
        self.dtype = np.dtype(np.float32) if corrected else np.result_type(*(scan.patterns.dtype for scan in scans))

    @property
    def damaged(self) -> NDArray[np.int64]:
        """Sorted indices of the frames that could not be read so far."""
        starts = self._starts[:-1]
        own = [start + scan.patterns.damaged for start, scan in zip(starts, self.scans, strict=True)]
        return np.union1d(super().damaged, np.concatenate(own))

    def __getitem__(self, index: Any) -> NDArray[Any]:
        frames, *rest = index if isinstance(index, tuple) else (index,)
        wanted = np.arange(len(self))[frames]
        patterns = np.empty((wanted.size, *self.shape[1:]), self.dtype)
        for start, scan in zip(self._starts, self.scans, strict=False):
            numbers = wanted.ravel() - start
            places = np.flatnonzero((numbers >= 0) & (numbers < len(scan.patterns)))
            for place, frame in zip(places, scan.patterns.pick(numbers[places]), strict=True):
                patterns[place] = _corrected(frame, scan.detector) if self._corrected else frame
        patterns[np.isin(wanted.ravel(), self.damaged)] = no_measurement(self.dtype)
        return patterns.reshape(*wanted.shape, *self.shape[1:])[(*[slice(None)] * wanted.ndim, *rest)]

    def with_patterns(self, patterns: Sequence[Frames]) -> "JointFrames":
        """Return the same stack, with other patterns of its scans."""
        scans = [replace(scan, patterns=each) for scan, each in zip(self.scans, patterns, strict=True)]
        changed = JointFrames(scans, corrected=self._corrected)
        changed._damage = self.damage
        return changed


def _corrected(counts: NDArray[Any], detector: Detector) -> NDArray[np.float32]:
    """Return counts minus the dark frame, with NaN for counts that are unusable."""
    good = detector.usable(counts)
    return np.where(good | (detector.mask != 0), detector.without_dark(counts), np.nan).astype(np.float32)


@dataclass(frozen=True)
class ScanOnCanvas:
    """One of several scans, with its frames and its object's area among those of all scans."""

    scan: Scan
    frames: slice
    """Its frames among those of all scans."""
    grid: Grid
    """Pixels y, x of its object in metres."""
    rows: slice
    """Rows of its object on the canvas."""
    nominal: NDArray[np.float64]
    """Its positions on the canvas in metres, before any refinement, shape (npos, 3)."""

    def select(self, frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of some frames that are frames of this scan."""
        return frames[(frames >= self.frames.start) & (frames < self.frames.stop)]

    def result(self, joint: Result, error: float, holdout_error: float, digest: str, record: InputRecord) -> Result:
        """Return the result of this scan from that of all scans, with the last errors on its own frames."""
        count, (y, x) = len(joint.positions), self.grid
        model = {name: value[self.frames] if len(value) == count else value for name, value in joint.model.items()}
        area = self.rows, slice(0, len(x))
        held_out = self.select(joint.held_out)
        holdout_errors = (
            np.append(joint.holdout_errors[:-1], np.float32(holdout_error))
            if len(held_out)
            else np.zeros(0, np.float32)
        )
        moves = joint.positions[self.frames] - self.nominal
        return replace(
            joint,
            scan=replace(self.scan, near=joint.scan.near, left_out=self._left_out(joint)),
            object=np.ascontiguousarray(joint.object[(..., *area)]),
            mask=np.ascontiguousarray(joint.mask[area]),
            x=x,
            y=y,
            positions=self.scan.positions + moves,
            errors=np.append(joint.errors[:-1], np.float32(error)),
            holdout_errors=holdout_errors,
            holdout_deviances=joint.holdout_deviances if len(held_out) else np.zeros(0, np.float32),
            held_out=held_out - self.frames.start,
            model=model,
            provenance=joint.provenance | {"input": str(self.scan.path or ""), "digest": digest},
            input=record,
        )

    def _left_out(self, joint: Result) -> dict[str, tuple[int, ...]]:
        """Return the frames of this scan that were left out, by reason."""
        left_out = {reason: self.select(np.array(frames, np.int64)) for reason, frames in joint.scan.left_out.items()}
        return {
            reason: tuple((frames - self.frames.start).tolist()) for reason, frames in left_out.items() if len(frames)
        }


@dataclass(frozen=True)
class JointScan:
    """Several scans as one."""

    scan: Scan
    """The scan that is reconstructed."""
    members: tuple[ScanOnCanvas, ...]
    """The scans that it consists of."""


def join(scans: Sequence[Any], share: str | None) -> JointScan:
    """Return several scans as one.

    Raises
    ------
    InputError
        If there are fewer than two scans, ``share`` is invalid, or the scans do not agree in wavelength, object pixel,
        field or shape of the frames.
    """
    _check(scans, share)
    mask = np.bitwise_or.reduce([~scan.detector.always_good for scan in scans]).astype(np.uint8)
    scans = [replace(scan, detector=replace(scan.detector, mask=mask)) for scan in scans]
    grids, offsets, rows = _layout(scans, share)
    first = scans[0]
    saturation = first.detector.saturation
    corrected = any(s.detector.dark is not None or s.detector.saturation != saturation for s in scans)
    ends = np.cumsum([len(scan.positions) for scan in scans])
    members = tuple(
        ScanOnCanvas(scan, slice(int(end) - len(scan.positions), int(end)), grid, area, scan.positions + offset)
        for scan, end, grid, area, offset in zip(scans, ends, grids, rows, offsets, strict=True)
    )
    scan = replace(
        first,
        patterns=JointFrames(scans, corrected=corrected),
        positions=np.concatenate([member.nominal for member in members]),
        detector=replace(first.detector, dark=None, saturation=None) if corrected else first.detector,
        probe=next((scan.probe for scan in scans if scan.probe is not None), None),
        truth=None,
        monitor=_joint_monitor(scans),
        left_out=_joint_left_out(members),
        preparation=(),
        path=None,
        findings=tuple(finding for scan in scans for finding in scan.findings),
    )
    return JointScan(scan, members)


def _joint_monitor(scans: Sequence[Scan]) -> NDArray[np.float64] | None:
    """Return the monitor of all frames relative to each scan's mean, as units may differ; None if a scan has none."""
    monitors = [scan.monitor / scan.monitor.mean() for scan in scans if scan.monitor is not None]
    return np.concatenate(monitors) if len(monitors) == len(scans) else None


def _joint_left_out(members: tuple[ScanOnCanvas, ...]) -> dict[str, tuple[int, ...]]:
    """Return the frames that are left out, among those of all scans, by reason."""
    merged: dict[str, tuple[int, ...]] = {}
    for member in members:
        for reason, frames in member.scan.left_out.items():
            merged[reason] = (*merged.get(reason, ()), *(member.frames.start + frame for frame in frames))
    return merged


def _check(scans: Sequence[Any], share: str | None) -> None:
    """Refuse scans that cannot be reconstructed together."""
    if share not in SHARE:
        remedy = 'Use share="probe" or share="both" (object and probe)'
        raise InputError("Unknown value of share", found=repr(share), remedy=remedy)
    if len(scans) < 2 or not all(isinstance(scan, Scan) for scan in scans):
        found = ", ".join(type(scan).__name__ for scan in scans) or "none"
        remedy = "Open the files first: exitwave.open(path)"
        raise InputError("A joint reconstruction needs two or more scans", found=found, remedy=remedy)
    for other in scans[1:]:
        _check_pair(scans[0], other)


def _check_pair(first: Scan, other: Scan) -> None:
    """Refuse a scan that does not agree with the first one."""
    pixels = np.array(other.object_pixel) / first.object_pixel
    shapes = first.patterns.shape[1:], other.patterns.shape[1:]
    differences = {
        "the shape of the frames": (*shapes, 0.0 if shapes[0] == shapes[1] else 1.0),
        "the wavelength": (first.wavelength, other.wavelength, abs(other.wavelength / first.wavelength - 1)),
        "the object pixel": (first.object_pixel, other.object_pixel, float(np.abs(pixels - 1).max())),
        "the near or far field": (first.near, other.near, 0.0 if first.near == other.near else 1.0),
    }
    for what, (expected, found, difference) in differences.items():
        if difference > TOLERANCE:
            raise InputError(
                f"The scans do not agree in {what}",
                where=other.path or other.name,
                found=f"{found}; the first scan has {expected}",
                remedy="Reconstruct the scans separately, or make frames and geometry agree first",
            )


def _layout(scans: Sequence[Scan], share: str | None) -> tuple[list[Grid], list[NDArray[np.float64]], list[slice]]:
    """Return each scan's object grid, the offset of its positions on the canvas in metres, and its rows there.

    The margin of each grid is as wide as the probe's array, so that no probe illuminates two objects.
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
