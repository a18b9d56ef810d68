"""The problem as an algorithm wants it: counts and pixels. Nothing after this knows metres, HDF5 or a beamline."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.detector import DetectorModel, DetectorSettings, blind, detector_model, efficiency
from exitwave.engine.fly import Exposures
from exitwave.engine.near import Propagator, propagator
from exitwave.engine.slices import Slices
from exitwave.engine.team import ALONE, Alone
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.positions.grid import split, to_pixels
from exitwave.scan import Scan

RIM = 2
"""Pixels of the object around a window, for the object's derivatives."""


@dataclass(frozen=True)
class Problem:
    """What every sweep needs of a scan."""

    stack: NDArray[Any]
    """Counts, shape (npos, ny, nx), the smallest exact type of uint16 and float32; of several processes, only the
    frames that this one carries.

    Far-field patterns have zero frequency at [0, 0]; near-field images are as the detector sees them.
    """
    invalid: float
    """The value in ``stack`` that marks a pixel without a measurement."""
    pixels: NDArray[np.float32]
    """Index of the object pixel (row, column) under the probe's centre, shape (npos, 2)."""
    object_shape: tuple[int, int]
    """Shape (rows, columns) of the object."""
    used: NDArray[np.int64]
    """Frames that are reconstructed."""
    held_out: NDArray[np.int64]
    """Frames that judge the result."""
    photons: float
    """Mean counts of a used frame."""
    findings: tuple[Finding, ...] = ()
    """What had to be repaired or left out."""
    propagator: Propagator | None = None
    """The way to the detector in the near field; None: the far field."""
    detector: DetectorModel | None = None
    """What of the detector is in the model; None: it is ideal."""
    slices: Slices | None = None
    """The slices of a thick sample; None: it is thin."""
    nominal: NDArray[np.float64] | None = None
    """Where the scan has the positions, like ``pixels``, which an earlier result may have refined; None: there."""
    carried: NDArray[np.int64] | None = None
    """The frames whose counts are in the stack, ascending; None: all."""
    team: Alone = ALONE
    """The processes that have the others. All ask alike for what `sums`, `totals` and `only` tell of the counts."""

    @property
    def full_shape(self) -> tuple[int, ...]:
        """Shape of the object's array: (rows, columns), of a thick sample (slices, rows, columns)."""
        return (self.slices.number, *self.object_shape) if self.slices else self.object_shape

    exposures: Exposures | None = None
    """The exposures of every frame in a fly scan; None: one at the position."""

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (ny, nx) of the probe: that of a frame, times the samples along a side of a pixel."""
        samples = self.detector.oversample if self.detector else 1
        return samples * self.stack.shape[1], samples * self.stack.shape[2]

    @property
    def scanned(self) -> NDArray[np.float64]:
        """Object pixel (row, column) where the scan has the probe's centre, shape (npos, 2)."""
        return self.pixels.astype(np.float64) if self.nominal is None else self.nominal

    @property
    def reach(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and last position (row, column) with a window `RIM` pixels inside the object."""
        shape = np.array(self.shape)
        return shape // 2 + RIM, np.array(self.object_shape) - shape + shape // 2 - RIM

    @property
    def floor(self) -> float:
        """Amplitude below which a model is rounding noise, whose phase says nothing: 1e-4 of a frame's rms."""
        return 1e-4 * (self.photons / (self.shape[0] * self.shape[1])) ** 0.5

    def mean_pattern(self) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Return the mean of the used frames, zero frequency at n//2, and the pixels without a count (1 bad).

        A known background is taken off.
        """
        mean, bad = self.mean()
        if self.detector:
            mean = np.maximum(mean - self.detector.background, 0)
        return np.fft.fftshift(mean), np.fft.fftshift(bad).astype(np.uint8)

    def mean(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the mean of the used frames as they are in the stack, and the pixels without a count."""
        total, valid = self.sums(self.used)
        return total / np.maximum(valid, 1), valid == 0

    def sums(self, frames: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the sum of the counts of some frames as they are in the stack, and in how many each pixel is valid.

        Returns
        -------
        ndarray of shape (2, ny, nx)
        """
        sums = np.zeros((2, *self.stack.shape[1:]))
        for j in self.here(frames)[1]:
            good = self.stack[j] != self.invalid
            sums[0] += np.where(good, self.stack[j], 0)
            sums[1] += good
        self.team.add(sums)
        return sums

    def totals(self) -> NDArray[np.float64]:
        """Return the sum of the counts of every frame, shape (npos,)."""
        totals = np.zeros(len(self.pixels))
        for frame, counts in zip(self._carried, self.stack, strict=True):
            totals[frame] = counts[counts != self.invalid].sum(dtype=np.float64)
        self.team.add(totals)
        return totals

    def only(self, frames: NDArray[np.int64]) -> "Problem":
        """Return the problem of some frames, all of them used, in this process alone."""
        places, rows = self.here(frames)
        counts = np.zeros((len(frames), *self.stack.shape[1:]), np.float32)  # exact, and processes can add it up
        counts[places] = self.stack[rows]
        self.team.add(counts)
        return self.part(frames, counts.astype(self.stack.dtype, copy=False))

    def part(self, frames: NDArray[np.int64], counts: NDArray[Any]) -> "Problem":
        """Return the problem of some frames with these counts, all of them used, in this process alone."""
        return replace(
            self,
            stack=counts,
            pixels=self.pixels[frames],
            used=np.arange(len(frames)),
            held_out=np.arange(0),
            nominal=None if self.nominal is None else self.nominal[frames],
            exposures=self.exposures and Exposures(self.exposures.offsets[frames]),
            carried=None,
            team=ALONE,
        )

    def here(self, frames: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which of some frames this process carries, and where in the stack."""
        rows = self._rows[frames]
        places = np.flatnonzero(rows >= 0)
        return places, rows[places]

    @property
    def _carried(self) -> NDArray[np.int64]:
        return np.arange(len(self.stack)) if self.carried is None else self.carried

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        """Where in the stack every frame is; -1: another process has it."""
        rows = np.full(len(self.pixels), -1)
        rows[self._carried] = np.arange(len(self.stack))
        return rows

    def windows(self, positions: NDArray[np.floating[Any]] | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the window corners and the sub-pixel shifts of all frames, each of shape (npos, 2).

        Parameters
        ----------
        positions : ndarray of shape (npos, 2), optional
            Other positions than `pixels`.

        Raises
        ------
        InputError
            If a window is not inside the object.
        """
        pixels = self.pixels if positions is None else positions
        corners, rest = split(pixels.astype(np.float64), self.shape)
        outside = (corners < 0) | (corners + self.shape > self.object_shape)
        if outside.any():
            frame = int(np.flatnonzero(outside.any(axis=1))[0])
            raise InputError(
                "A position lies outside the object",
                found=f"frame {frame} at pixel {pixels[frame].tolist()} of an object of {self.object_shape}",
                remedy="Positions and object do not belong together; start again from the scan",
            )
        return corners, rest.astype(np.float32)


_LARGEST_INTEGER = np.iinfo(np.uint16).max


def carried(scan: Scan, team: Alone) -> NDArray[np.int64]:
    """Return the frames of a scan that this process reads: neighbours are of different ones.

    Which frames hold counts, and which of them are held out, is not known before; but which are left out.
    """
    groups = scan.wanted, np.setdiff1d(np.arange(len(scan.patterns)), scan.wanted)
    return np.sort(np.concatenate([group[team.rank :: team.size] for group in groups]))


def load_stack(
    scan: Scan, settings: DetectorSettings | None = None, team: Alone = ALONE
) -> tuple[NDArray[Any], float, tuple[Finding, ...]]:
    """Read the frames once, into the smallest exact type; far-field patterns with zero frequency at [0, 0].

    Masked and saturated pixels, and counts that are negative, not finite or a detector's mark, become ``invalid``. A
    dark frame is subtracted (counts that fall below zero become zero). The settings may keep the dark frame in the
    counts, and saturated pixels at the counts of saturation; a flat field that they use leaves out pixels of hardly any
    efficiency.

    Every process of a team reads those that it has `carried`; type and findings are those of all frames.

    Returns
    -------
    stack : ndarray of shape (npos, ny, nx)
        uint16 where every count is an integer that fits, else float32.
    invalid : float
        The mark of a pixel without a measurement.
    findings : tuple of Finding
        What was repaired.
    """
    detector, settings = scan.detector, settings or DetectorSettings()
    capped = settings.saturated == "cap"
    cap = np.float32(np.inf if detector.saturation is None else detector.saturation)
    flat = efficiency(scan, settings)
    dead = np.zeros((1, 1), bool) if flat is None else blind(flat)
    frames, filled = carried(scan, team), 0
    stack: NDArray[Any] = np.empty((len(frames), *scan.patterns.shape[1:]), np.uint16)
    invalid, repaired = float(_LARGEST_INTEGER), np.zeros(3, np.int64)
    for index, block in scan.patterns.some(frames, 16):  # memory beside the stack is for few frames
        counts = block.astype(np.float32)
        repaired += _repaired(counts[~detector.usable(block, index) & detector.good(index)])
        good = detector.usable(block, index, saturated=capped) & ~dead
        counts = np.minimum(counts, cap) if capped else counts
        counts = np.where(good, counts if settings.background == "dark" else detector.without_dark(counts), 0)
        if stack.dtype == np.uint16 and not _fits(counts):
            stack, invalid = _promote(stack, filled), -1.0
        counts[~good] = invalid
        stack[filled : filled + len(counts)] = counts if scan.near else np.fft.ifftshift(counts, axes=(1, 2))
        filled += len(counts)
    if team.any(stack.dtype != np.uint16) and stack.dtype == np.uint16:
        stack, invalid = _promote(stack, filled), -1.0
    team.add(repaired)
    return stack, invalid, _findings(scan.patterns.dataset, math.prod(scan.patterns.shape), repaired)


def _repaired(counts: NDArray[np.float32]) -> NDArray[np.int64]:
    """Sort unusable counts of good pixels: how many are not finite, negative, saturated."""
    broken, negative = (~np.isfinite(counts)).sum(), (counts < 0).sum() - np.isneginf(counts).sum()
    return np.array([broken, negative, counts.size - broken - negative])


def _fits(counts: NDArray[np.float32]) -> bool:
    """Say whether counts are integers below the mark of an invalid pixel."""
    return bool(counts.max() < _LARGEST_INTEGER and (counts == np.rint(counts)).all())


def _promote(stack: NDArray[Any], filled: int) -> NDArray[np.float32]:
    """Return the stack as float32, with the first ``filled`` frames and their invalid pixels carried over."""
    wide = np.empty(stack.shape, np.float32)
    for j in range(filled):
        wide[j] = np.where(stack[j] == _LARGEST_INTEGER, np.float32(-1), stack[j])
    return wide


def _findings(dataset: str, size: int, repaired: NDArray[np.int64]) -> tuple[Finding, ...]:
    """Say what was repaired while loading."""
    kinds = [
        ("W231", "are NaN or infinite", "finite counts"),
        ("W232", "are negative", "counts of 0 or more"),
        ("W233", "are saturated", "counts below saturation_value"),
    ]
    remedy = "These pixels are left out of their frames; mask them if they are always bad"
    return tuple(
        finding(code, dataset, f"{n} pixels ({n / size:.2g} of all) {what}", expected, remedy)
        for (code, what, expected), n in zip(kinds, repaired, strict=True)
        if n
    )


Grid = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Sample coordinates (y, x) of the object's pixel centres in metres."""


def pose(
    scan: Scan,
    positions: NDArray[np.float64],
    grid: Grid,
    *,
    holdout: float,
    seed: int,
    settings: DetectorSettings | None = None,
    team: Alone = ALONE,
) -> Problem:
    """Turn a scan into the problem that an algorithm solves.

    Parameters
    ----------
    scan : Scan
        What was measured.
    positions : ndarray of shape (npos, 3)
        Where the probe was, in metres: those of the scan, or those that an earlier result used.
    grid : tuple of ndarray
        Sample coordinates y, x of the object's pixels in metres.
    holdout : float
        Fraction of the frames that are kept out of the reconstruction to judge it.
    seed : int
        Chooses which.
    settings : DetectorSettings, optional
        What of the detector is in the model.
    team : Alone
        The processes that carry the frames.

    Raises
    ------
    InputError
        If no frame holds a count, or the scan lacks what the settings ask for.
    """
    settings = settings or DetectorSettings()
    stack, invalid, findings = load_stack(scan, settings, team)
    detector = detector_model(scan, settings, saturated=any(each.code == "W233" for each in findings))
    problem = Problem(
        stack=stack,
        invalid=invalid,
        pixels=to_pixels(positions, *grid).astype(np.float32),
        object_shape=(len(grid[0]), len(grid[1])),
        used=scan.wanted,
        held_out=np.arange(0),
        photons=np.nan,
        propagator=propagator(scan) if scan.near else None,
        nominal=to_pixels(scan.positions, *grid),
        detector=detector,
        carried=None if team.size == 1 else carried(scan, team),
        team=team,
    )
    totals = problem.totals()
    lit = totals > 0
    alive = np.intersect1d(np.flatnonzero(lit), scan.wanted)
    if len(alive) < 2:
        remedy = "Check the mask (0 is good, 1 is bad; --set mask=inverted) and the frames themselves"
        raise InputError("The frames hold no counts", where=str(scan.path or ""), found="no photon", remedy=remedy)
    if not lit.all():
        count = len(lit) - int(lit.sum())
        remedy = "They are left out; check the shutter and the beam"
        empty = finding("W234", scan.patterns.dataset, f"{count} empty frames", "counts in every frame", remedy)
        findings = (*findings, empty)
    rng = np.random.default_rng(seed)
    held_out = np.sort(rng.choice(alive, round(holdout * len(alive)), replace=False))
    used = np.setdiff1d(alive, held_out)
    photons = beam_counts(float(totals[used].mean()), detector)
    return replace(problem, used=used, held_out=held_out, photons=photons, findings=findings)


def beam_counts(counts: float, detector: DetectorModel | None) -> float:
    """Return the mean counts of a frame that come from the beam: without the background, but at least a tenth."""
    return counts if detector is None else max(counts - float(detector.background.sum()), counts / 10)
