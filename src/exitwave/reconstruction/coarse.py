"""Coarse grids: only the middle of every frame, so larger object pixels and cheaper transforms.

The middle n / c of n detector pixels sees the same field with n / c object pixels, each c times as large. Both probe
arrays have the position at index n//2, and c (n / c)//2 = n//2 where n / c is even: coarse pixel k lies exactly on fine
pixel c k, of the probe and of the object, and a position of p fine pixels is one of p / c coarse ones. With the unitary
transform the counts stay what they are where the spectra agree on the middle: there P_coarse = c P and O_coarse = O.

What is found on the coarse grid goes back as a change, O <- O + up(O_coarse - down(O)), as between the grids of A.
Brandt, Math. Comput. 31, 333 (1977): what only the fine grid can hold stays, and no change is no change.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from exitwave.engine.model.fly_scan import Exposures
from exitwave.engine.problem import Problem
from exitwave.engine.state import State
from exitwave.errors import InputError
from exitwave.reconstruction.loading import beam_counts

SMALLEST = 32
"""Pixels along each side of the smallest frame left."""
LEAST = 0.1
"""Part of the counts that must be left: with less the beam's own cone is cut off, and nothing can be found."""


def crop(problem: Problem, factor: int) -> Problem:
    """Return the problem of the middle of every frame, with object pixels larger by the factor.

    Raises
    ------
    InputError
        If the frames are images in the near field, do not divide into an even number of pixels, become smaller than
        `SMALLEST`, or are left with less than `LEAST` of their counts.
    """
    ny, nx = problem.counts.shape[1:]
    if problem.propagator:
        remedy = "Leave the setting out"
        raise InputError("An image in the near field has no coarse version", found=f"coarse: {factor}", remedy=remedy)
    if ny % (2 * factor) or nx % (2 * factor) or min(ny, nx) < SMALLEST * factor:
        remedy = f"Leave the setting out; it needs sides that {2 * factor} divides, of {SMALLEST * factor} or more"
        found = f"coarse: {factor} for frames of {ny} x {nx} pixels"
        raise InputError("The frames cannot be cropped so far", found=found, remedy=remedy)
    stack = cut(problem.counts, factor)
    counts, whole = (float(each.totals()[each.used].mean()) for each in (replace(problem, counts=stack), problem))
    if counts < LEAST * whole:
        found = f"coarse: {factor} keeps {counts / whole:.1%} of the counts"
        remedy = "Take a smaller factor, or leave the setting out: the beam's cone reaches farther than the middle"
        raise InputError("The frames cannot be cropped so far", found=found, remedy=remedy)
    detector = problem.detector.changed(lambda array: cut(array, factor)) if problem.detector else None
    rows, columns = problem.object_shape
    return replace(
        problem,
        counts=stack,
        pixels=problem.pixels / np.float32(factor),
        nominal=None if problem.nominal is None else problem.nominal / factor,
        object_shape=(-(-rows // factor), -(-columns // factor)),
        photons=beam_counts(counts, detector),
        detector=detector,
        slices=problem.slices and problem.slices.cropped(*middle(problem.counts, factor), factor),
        exposures=problem.exposures and Exposures(problem.exposures.offsets / factor),
    )


def middle(array: NDArray[Any], factor: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and columns of the middle of detector arrays."""
    rows, columns = (np.r_[: n // factor // 2, n - n // factor // 2 : n] for n in array.shape[-2:])
    return rows, columns


def cut(array: NDArray[Any], factor: int) -> NDArray[Any]:
    """Return the middle of detector arrays, shape (..., ny, nx), zero frequency at [0, 0]."""
    rows, columns = middle(array, factor)
    return np.ascontiguousarray(array[..., rows, :][..., columns])


@dataclass(frozen=True)
class Pair:
    """A state on the fine grid, and one that started as its coarse version."""

    fine: State
    coarse: State
    start: State
    """What the coarse version started as."""
    factor: int

    def merged(self) -> State:
        """Return the fine state with what has changed on the coarse grid."""
        object, probe = self.coarse.object - self.start.object, self.coarse.probe - self.start.probe
        padded = [n * self.factor for n in object.shape[-2:]]
        rows, columns = self.fine.object.shape[-2:]
        return replace(
            self.fine,
            object=self.fine.object + resample(object, padded)[..., :rows, :columns],
            probe=self.fine.probe + resample(probe, self.fine.probe.shape[1:]) / self.factor,
            positions=self._merged_positions(),
            probe_factors=self.coarse.probe_factors,
            opr_modes=self._merged_variations(),
            opr_weights=self.coarse.opr_weights,
            pointing=self.coarse.pointing,
            slice_spacing=self.coarse.slice_spacing,
            background=self._merged_background(),
            distance=self.coarse.distance,
        )

    def _merged_positions(self) -> NDArray[np.float64] | None:
        if self.coarse.positions is None or self.start.positions is None or self.fine.positions is None:
            return None if self.coarse.positions is None else self.coarse.positions * self.factor
        return self.fine.positions + (self.coarse.positions - self.start.positions) * self.factor

    def _merged_background(self) -> NDArray[np.float64] | None:
        """Return the background with the middle of the coarse grid; a new one goes on outside with its mean."""
        new, fine = self.coarse.background, self.fine.background
        if new is None:
            return None
        shape = [n * self.factor for n in new.shape]
        whole = np.full(shape, new.mean()) if fine is None else fine.copy()
        places = [np.r_[: n // 2, m - n // 2 : m] for n, m in zip(new.shape, shape, strict=True)]
        whole[np.ix_(*places)] = new
        return whole

    def _merged_variations(self) -> NDArray[Any] | None:
        if self.coarse.opr_modes is None:
            return None
        before = 0 if self.start.opr_modes is None else self.start.opr_modes
        change = resample(self.coarse.opr_modes - before, self.fine.probe.shape[1:]) / self.factor
        return change if self.fine.opr_modes is None else self.fine.opr_modes + change


def coarsen(state: State, factor: int) -> Pair:
    """Return the state beside its coarse version, which shares its random numbers."""
    *slices, height, width = state.object.shape
    rows, columns = (-(-n // factor) for n in (height, width))
    missing = [(0, 0) for _ in slices] + [(0, rows * factor - height), (0, columns * factor - width)]
    object = resample(np.pad(state.object, missing, mode="edge"), (rows, columns))
    probe = factor * resample(state.probe, [n // factor for n in state.probe.shape[1:]])
    coarse = replace(state, object=object, probe=probe)
    coarse.background = None if state.background is None else cut(state.background, factor)
    coarse.positions = None if state.positions is None else state.positions / factor
    if state.opr_modes is not None:
        coarse.opr_modes = factor * resample(state.opr_modes, [n // factor for n in state.opr_modes.shape[1:]])
    return Pair(state, coarse, replace(coarse, object=object.copy(), probe=probe.copy()), factor)


def resample(array: NDArray[Any], shape: Any) -> NDArray[Any]:
    """Return the array on another number of pixels over the same field, by Fourier interpolation of the last two axes.

    Pixel 0 stays where it is. Frequencies that a grid lacks are cut off, or are 0.
    """
    spectrum = fft.fft2(array, norm="forward")
    out = np.zeros((*array.shape[:-2], *shape), spectrum.dtype)
    low = [min(a, b) // 2 for a, b in zip(array.shape[-2:], shape, strict=True)]
    high = [min(a, b) - k for a, b, k in zip(array.shape[-2:], shape, low, strict=True)]
    for rows in (slice(0, high[0]), slice(-low[0], None)):
        for columns in (slice(0, high[1]), slice(-low[1], None)):
            out[..., rows, columns] = spectrum[..., rows, columns]
    return np.ascontiguousarray(fft.ifft2(out, norm="forward"), array.dtype)
