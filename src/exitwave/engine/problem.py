"""The problem that an algorithm solves: counts and geometry in pixels, without metres or files."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.model.detector import DetectorModel
from exitwave.engine.model.fly_scan import Exposures
from exitwave.engine.model.near_field import Propagator
from exitwave.engine.model.slices import Slices
from exitwave.engine.parallel.communicator import ONE_PROCESS, Communicator
from exitwave.engine.parallel.tiles import WHOLE_OBJECT, WholeObject
from exitwave.errors import Finding, InputError
from exitwave.positions.grid import MARGIN, split

RIM = 2
"""Pixels of the object around a window, for the object's derivatives."""


@dataclass(frozen=True)
class Problem:
    """The counts and the geometry of a scan, in pixels, as every pass needs them."""

    counts: NDArray[Any]
    """Counts, shape (npos, ny, nx), in the smallest exact type of uint16 and float32. With several processes, only the
    frames of this process.

    Far-field patterns have zero frequency at [0, 0]; near-field images are as on the detector.
    """
    invalid: float
    """The value in ``counts`` that marks a pixel without a measurement."""
    pixels: NDArray[np.float32]
    """Index of the object pixel (row, column) under the probe's centre, shape (npos, 2)."""
    object_shape: tuple[int, int]
    """Shape (rows, columns) of the object."""
    used: NDArray[np.int64]
    """Frames that are reconstructed."""
    held_out: NDArray[np.int64]
    """Held-out frames."""
    photons: float
    """Mean counts of a used frame."""
    findings: tuple[Finding, ...] = ()
    """Findings: what was repaired or left out."""
    propagator: Propagator | None = None
    """Propagation to the detector in the near field; None: far field."""
    detector: DetectorModel | None = None
    """Model of a non-ideal detector; None: the detector is ideal."""
    slices: Slices | None = None
    """The slices of a thick sample; None: the sample is thin."""
    nominal: NDArray[np.float64] | None = None
    """Positions of the scan before any refinement, like ``pixels``; None: equal to ``pixels``."""
    local_frames: NDArray[np.int64] | None = None
    """Frames whose counts are in this process, ascending; None: all."""
    communicator: Communicator = ONE_PROCESS
    """The processes of the run. `sums`, `totals` and `subset` are collective: all processes must call them."""
    tile: WholeObject = WHOLE_OBJECT
    """The part of the object that this process holds."""
    exposures: Exposures | None = None
    """The exposures of every frame in a fly scan; None: one at the position."""

    @property
    def full_shape(self) -> tuple[int, ...]:
        """Shape of the object's array: (rows, columns) of the tile; for a thick sample (slices, rows, columns)."""
        return (self.slices.number, *self.object_shape) if self.slices else self.tile.shape(self.object_shape)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (ny, nx) of the probe: that of a frame, times the samples along a side of a pixel."""
        samples = self.detector.oversample if self.detector else 1
        return samples * self.counts.shape[1], samples * self.counts.shape[2]

    @property
    def scanned(self) -> NDArray[np.float64]:
        """Object pixel (row, column) under the probe's centre before any refinement, shape (npos, 2)."""
        return self.pixels.astype(np.float64) if self.nominal is None else self.nominal

    @property
    def reach(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """First and last position (row, column) whose window is at least `RIM` pixels inside the object or the tile."""
        shape = np.array(self.shape)
        first, last = shape // 2 + RIM, np.array(self.object_shape) - shape + shape // 2 - RIM
        if self.tile is WHOLE_OBJECT:
            return first, last
        pixels = self.pixels.astype(np.float64)
        return np.maximum(first, pixels - self.tile.largest_move), np.minimum(last, pixels + self.tile.largest_move)

    @property
    def floor(self) -> float:
        """Amplitude below which a modelled wave is rounding noise with a random phase: 1e-4 of a frame's rms."""
        return 1e-4 * (self.photons / (self.shape[0] * self.shape[1])) ** 0.5

    def mean_pattern(self) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Return the mean of the used frames, zero frequency at n//2, and the pixels without a count (1 bad).

        A known background is subtracted.
        """
        mean, bad = self.mean()
        if self.detector:
            mean = np.maximum(mean - self.detector.background, 0)
        return np.fft.fftshift(mean), np.fft.fftshift(bad).astype(np.uint8)

    def mean(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the mean of the used frames in the layout of ``counts``, and the pixels without a measurement."""
        total, valid = self.sums(self.used)
        return total / np.maximum(valid, 1), valid == 0

    def sums(self, frames: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the sum of the counts of some frames, and in how many frames each pixel is valid.

        Returns
        -------
        ndarray of shape (2, ny, nx)
        """
        sums = np.zeros((2, *self.counts.shape[1:]))
        for j in self.local(frames)[1]:
            good = self.counts[j] != self.invalid
            sums[0] += np.where(good, self.counts[j], 0)
            sums[1] += good
        self.communicator.add(sums)
        return sums

    def totals(self) -> NDArray[np.float64]:
        """Return the sum of the counts of every frame, shape (npos,)."""
        totals = np.zeros(len(self.pixels))
        for frame, counts in zip(self._local, self.counts, strict=True):
            totals[frame] = counts[counts != self.invalid].sum(dtype=np.float64)
        self.communicator.add(totals)
        return totals

    def subset(self, frames: NDArray[np.int64]) -> "Problem":
        """Return the problem of some frames, all of them used, for this process alone."""
        indices, rows = self.local(frames)
        counts = np.zeros((len(frames), *self.counts.shape[1:]), np.float32)  # exact, and a type that processes can sum
        counts[indices] = self.counts[rows]
        self.communicator.add(counts)
        return self.with_frames(frames, counts.astype(self.counts.dtype, copy=False))

    def with_frames(self, frames: NDArray[np.int64], counts: NDArray[Any]) -> "Problem":
        """Return the problem of some frames with these counts, all of them used, for this process alone."""
        return replace(
            self,
            counts=counts,
            pixels=self.pixels[frames],
            used=np.arange(len(frames)),
            held_out=np.arange(0),
            nominal=None if self.nominal is None else self.nominal[frames],
            exposures=self.exposures and Exposures(self.exposures.offsets[frames]),
            local_frames=None,
            communicator=ONE_PROCESS,
            tile=WHOLE_OBJECT,
        )

    def trimmed(self) -> "Problem":
        """Return the problem with the object cropped to the windows of its frames and a margin."""
        margin = MARGIN + (int(np.ceil(np.abs(self.exposures.offsets).max())) if self.exposures else 0)
        offset = np.floor(self.pixels.min(0)) - np.array(self.shape) // 2 - margin
        extent = np.ceil(self.pixels.max(0) - offset).astype(int) + np.array(self.shape) // 2 + margin
        pixels = (self.pixels - offset).astype(np.float32)
        return replace(self, pixels=pixels, object_shape=(int(extent[0]), int(extent[1])), nominal=None)

    def local(self, frames: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which of some frames this process holds, as indices into ``frames`` and into ``counts``."""
        rows = self._rows[frames]
        indices = np.flatnonzero(rows >= 0)
        return indices, rows[indices]

    @property
    def _local(self) -> NDArray[np.int64]:
        return np.arange(len(self.counts)) if self.local_frames is None else self.local_frames

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        """Index of every frame in ``counts``; -1: another process holds it."""
        rows = np.full(len(self.pixels), -1)
        rows[self._local] = np.arange(len(self.counts))
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
                remedy="Positions and object do not match; start again from the scan",
            )
        return corners, rest.astype(np.float32)
