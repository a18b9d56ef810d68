"""Coarse grids: only the middle of every frame is used, so that object pixels are larger and transforms cheaper.

The middle n / c of n detector pixels corresponds to the same field with n / c object pixels, each c times as large.
Both probe arrays have the position at index n//2, and c (n / c)//2 = n//2 if n / c is even: coarse pixel k lies exactly
on fine pixel c k, for the probe and for the object, and the position p in fine pixels is p / c in coarse ones. With the
unitary transform the counts do not change if P_coarse = c P and O_coarse = O, with the same spectra in the middle.

The coarse result returns to the fine grid as a change, O <- O + up(O_coarse - down(O)), as between the grids of A.
Brandt, Math. Comput. 31, 333 (1977): details that only the fine grid can represent stay, and a coarse grid without a
change changes nothing.
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
"""Smallest number of pixels along each side of a cropped frame."""
LEAST_COUNTS = 0.1
"""Smallest fraction of the counts in the middle. With less, the cone of the beam itself is cut off."""


def crop(problem: Problem, factor: int) -> Problem:
    """Return the problem of the middle of every frame, with object pixels larger by the factor.

    Raises
    ------
    InputError
        If the frames are near-field images, do not divide into an even number of pixels, become smaller than
        `SMALLEST`, or keep less than `LEAST_COUNTS` of their counts.
    """
    _check_shape(problem, factor)
    counts = crop_middle(problem.counts, factor)
    mean, full_mean = (float(each.totals()[each.used].mean()) for each in (replace(problem, counts=counts), problem))
    if mean < LEAST_COUNTS * full_mean:
        found = f"coarse: {factor} keeps {mean / full_mean:.1%} of the counts"
        remedy = "Use a smaller factor, or remove the setting: the cone of the beam extends beyond the middle"
        raise InputError("The frames cannot be cropped so far", found=found, remedy=remedy)
    detector = problem.detector.map_pixels(lambda array: crop_middle(array, factor)) if problem.detector else None
    rows, columns = problem.object_shape
    return replace(
        problem,
        counts=counts,
        pixels=problem.pixels / np.float32(factor),
        nominal=None if problem.nominal is None else problem.nominal / factor,
        object_shape=(-(-rows // factor), -(-columns // factor)),
        photons=beam_counts(mean, detector),
        detector=detector,
        slices=problem.slices and problem.slices.cropped(*_middle(problem.counts, factor), factor),
        exposures=problem.exposures and Exposures(problem.exposures.offsets / factor),
    )


def _check_shape(problem: Problem, factor: int) -> None:
    """Refuse near-field images, and frames whose shape does not allow the factor."""
    ny, nx = problem.counts.shape[1:]
    if problem.propagator:
        remedy = "Remove the setting"
        raise InputError("Near-field images have no coarse grid", found=f"coarse: {factor}", remedy=remedy)
    if ny % (2 * factor) or nx % (2 * factor) or min(ny, nx) < SMALLEST * factor:
        remedy = (
            f"Remove the setting; it needs sides divisible by {2 * factor} and of {SMALLEST * factor} or more pixels"
        )
        found = f"coarse: {factor} for frames of {ny} x {nx} pixels"
        raise InputError("The frames cannot be cropped so far", found=found, remedy=remedy)


def _middle(array: NDArray[Any], factor: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and columns in the middle of detector arrays with zero frequency at [0, 0]."""
    rows, columns = (np.r_[: n // factor // 2, n - n // factor // 2 : n] for n in array.shape[-2:])
    return rows, columns


def crop_middle(array: NDArray[Any], factor: int) -> NDArray[Any]:
    """Return the middle of detector arrays, shape (..., ny, nx), zero frequency at [0, 0]."""
    rows, columns = _middle(array, factor)
    return np.ascontiguousarray(array[..., rows, :][..., columns])


@dataclass(frozen=True)
class TwoGrids:
    """A state on the fine grid, and its version on a coarse grid, on which a stage runs."""

    fine: State
    coarse: State
    start: State
    """The coarse state at the start of the stage."""
    factor: int

    def merged(self) -> State:
        """Return the fine state with the changes of the coarse one."""
        object, probe = self.coarse.object - self.start.object, self.coarse.probe - self.start.probe
        padded = [n * self.factor for n in object.shape[-2:]]
        rows, columns = self.fine.object.shape[-2:]
        return replace(
            self.fine,
            object=self.fine.object + resample(object, padded)[..., :rows, :columns],
            probe=self.fine.probe + resample(probe, self.fine.probe.shape[1:]) / self.factor,
            positions=self._merged_positions(),
            probe_factors=self.coarse.probe_factors,
            opr_modes=self._merged_opr_modes(),
            opr_weights=self.coarse.opr_weights,
            pointing=self.coarse.pointing,
            slice_spacing=self.coarse.slice_spacing,
            background=self._merged_background(),
            distance=self.coarse.distance,
        )

    def _merged_positions(self) -> NDArray[np.float64] | None:
        """Return the fine positions with the moves of the coarse ones."""
        if self.coarse.positions is None or self.start.positions is None or self.fine.positions is None:
            return None if self.coarse.positions is None else self.coarse.positions * self.factor
        return self.fine.positions + (self.coarse.positions - self.start.positions) * self.factor

    def _merged_background(self) -> NDArray[np.float64] | None:
        """Return the fine background with the coarse one in the middle; outside, a new one is its mean."""
        coarse, fine = self.coarse.background, self.fine.background
        if coarse is None:
            return None
        shape = [n * self.factor for n in coarse.shape]
        merged = np.full(shape, coarse.mean()) if fine is None else fine.copy()
        middle = [np.r_[: n // 2, m - n // 2 : m] for n, m in zip(coarse.shape, shape, strict=True)]
        merged[np.ix_(*middle)] = coarse
        return merged

    def _merged_opr_modes(self) -> NDArray[Any] | None:
        """Return the fine OPR modes with the changes of the coarse ones."""
        if self.coarse.opr_modes is None:
            return None
        start = 0 if self.start.opr_modes is None else self.start.opr_modes
        change = resample(self.coarse.opr_modes - start, self.fine.probe.shape[1:]) / self.factor
        return change if self.fine.opr_modes is None else self.fine.opr_modes + change


def coarsen(state: State, factor: int) -> TwoGrids:
    """Return the state and its coarse version; both have the same random generator."""
    *slices, height, width = state.object.shape
    rows, columns = (-(-n // factor) for n in (height, width))
    missing = [(0, 0) for _ in slices] + [(0, rows * factor - height), (0, columns * factor - width)]
    object = resample(np.pad(state.object, missing, mode="edge"), (rows, columns))
    probe = factor * resample(state.probe, [n // factor for n in state.probe.shape[1:]])
    coarse = replace(state, object=object, probe=probe)
    coarse.background = None if state.background is None else crop_middle(state.background, factor)
    coarse.positions = None if state.positions is None else state.positions / factor
    if state.opr_modes is not None:
        coarse.opr_modes = factor * resample(state.opr_modes, [n // factor for n in state.opr_modes.shape[1:]])
    return TwoGrids(state, coarse, replace(coarse, object=object.copy(), probe=probe.copy()), factor)


def resample(array: NDArray[Any], shape: Any) -> NDArray[Any]:
    """Return the array with other pixels over the same field, by Fourier interpolation of the last two axes.

    Pixel 0 does not move. Frequencies that the new grid lacks are cut off; those that the old one lacks are 0.
    """
    spectrum = fft.fft2(array, norm="forward")
    resampled = np.zeros((*array.shape[:-2], *shape), spectrum.dtype)
    low = [min(a, b) // 2 for a, b in zip(array.shape[-2:], shape, strict=True)]
    high = [min(a, b) - k for a, b, k in zip(array.shape[-2:], shape, low, strict=True)]
    for rows in (slice(0, high[0]), slice(-low[0], None)):
        for columns in (slice(0, high[1]), slice(-low[1], None)):
            resampled[..., rows, columns] = spectrum[..., rows, columns]
    return np.ascontiguousarray(fft.ifft2(resampled, norm="forward"), array.dtype)
