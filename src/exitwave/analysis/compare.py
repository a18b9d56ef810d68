"""Comparison of a result with another result or the simulated truth, with the ambiguities removed."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from exitwave.analysis.ambiguities import best_scale, remove_ramp
from exitwave.analysis.finite import impossible, with_finite_values
from exitwave.analysis.rectangles import largest_rectangle
from exitwave.analysis.registration import fourier_shift, register
from exitwave.analysis.slice_correlation import slice_correlations
from exitwave.errors import InputError
from exitwave.frc import FRC, frc
from exitwave.optics import phase_ramp
from exitwave.scan import Result, Truth
from exitwave.units import show

EROSION = 4
"""Width in pixels of the rim of the covered area that is not compared."""
COARSE = 8
"""Smaller side of the compared rectangle, divided by the shortest period that counts as coarse structure."""
SMALLEST = 16
"""Smallest number of pixels along each side of the compared area."""


@dataclass(frozen=True)
class Comparison:
    """Difference of two results after removal of scale, phase ramp and shift.

    a is the result, b the reference. Multislice objects are compared by the product of their slices.
    """

    error: float
    """Relative error of the object, ||a - b|| / ||b - mean b|| over the area, after alignment."""
    probe_error: float | None
    """||P_a - P_b|| / ||P_b|| with the shift and ramp of the objects and the best scale and mixing of modes; None if
    the shapes differ."""
    position_rms: float | None
    """Rms distance of the positions in metres, with the mean removed; None for different scans."""
    frc: FRC
    """Fourier ring correlation in the largest rectangle inside the area."""
    phase_error: float
    """Phase error of coarse structure in radians (rms) in that rectangle, of periods above ``coarse_period``."""
    coarse_period: float
    """Smallest period of coarse structure in metres."""
    shift: tuple[float, float]
    """Shift of a relative to b on the sample (y, x) in metres."""
    pixels: int
    """Number of pixels in the area."""
    object: NDArray[np.complex128]
    """Object a, aligned to the reference, shape (ny, nx)."""
    reference: NDArray[np.complex128]
    """Object b without its phase ramp, shape (ny, nx)."""
    area: NDArray[np.bool_]
    """Area that is compared, covered in both, shape (ny, nx)."""
    pixel: tuple[float, float]
    """Pixel size (y, x) in metres."""
    against_truth: bool
    """Whether b is the simulated truth."""
    slices: NDArray[np.float64] | None = None
    """Correlation of every slice of a with every slice of b, shape (slices, slices); None if the numbers of
    slices differ or are one."""

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers, in SI units, for ``--json``."""
        return {
            "against": "truth" if self.against_truth else "result",
            "error": self.error,
            "probe_error": self.probe_error,
            "position_rms": self.position_rms,
            "resolution": self.frc.resolution,
            "limited_by_pixel": self.frc.limited_by_pixel,
            "phase_error": self.phase_error,
            "coarse_period": self.coarse_period,
            "shift": list(self.shift),
            "pixels": self.pixels,
            "frc": {
                "frequency": self.frc.frequency.tolist(),
                "correlation": self.frc.correlation.tolist(),
                "threshold": self.frc.threshold.tolist(),
            },
            "slices": None if self.slices is None else self.slices.tolist(),
        }

    def sentence(self) -> str:
        """Return the comparison in one line of text."""
        other = "the truth" if self.against_truth else "the other result"
        bound = ", the pixel size" if self.frc.limited_by_pixel else ""
        coarse = f"The phase of coarse structure, with periods above {show(self.coarse_period, 'm', 3)}, differs by"
        probe = "" if self.probe_error is None else f", the probe by {self.probe_error:.1%}"
        return (
            f"The object differs from {other} by {self.error:.1%} over {self.pixels} pixels{probe}. The objects agree "
            f"down to a half period of {show(self.frc.resolution, 'm', 3)}{bound}. "
            f"{coarse} {self.phase_error:.2g} rad rms.{self._slice_sentence()}"
        )

    def _slice_sentence(self) -> str:
        if self.slices is None:
            return ""
        wrong = self.slices[~np.eye(len(self.slices), dtype=bool)].max()
        right = np.diag(self.slices).min()
        return f" Slices correlate with the same slice by {right:.2f} or more, with others by up to {wrong:.2f}."


class _Field(NamedTuple):
    """The arrays of a Result or a Truth that are compared."""

    object: NDArray[Any]
    mask: NDArray[Any]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    probe: NDArray[Any]
    slices: NDArray[Any]

    @property
    def pixel(self) -> NDArray[np.float64]:
        return np.array([self.y[1] - self.y[0], self.x[1] - self.x[0]])

    @property
    def origin(self) -> NDArray[np.float64]:
        return np.array([self.y[0], self.x[0]])


class _Aligned(NamedTuple):
    """The first object aligned to the second, with its shift in pixels and ramp in radians per pixel.

    ``first`` and ``second`` are the slices of the common field in both arrays.
    """

    object: NDArray[np.complex128]
    reference: NDArray[np.complex128]
    area: NDArray[np.bool_]
    shift: NDArray[np.float64]
    ramp: NDArray[np.float64]
    first: tuple[slice, ...]
    second: tuple[slice, ...]


def compare(a: Result, b: Result | Truth | None = None) -> Comparison:
    """Compare a result with another result, or with the truth in its scan.

    Scale, phase ramp and shift of a are fitted to those of b, and the ramp of b is removed. Of multislice objects, the
    products of the slices are compared, and every slice is correlated with every other. The compared area is covered in
    both, except for a rim of `EROSION` pixels and for values that are not finite. A truth has no noise, so the half-bit
    threshold of the FRC is higher for it (see `exitwave.frc.frc`).

    Parameters
    ----------
    a : Result
        The result.
    b : Result or Truth, optional
        The reference; by default ``a.scan.truth``.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If there is no reference, if the pixel sizes differ, or if the fields do not overlap.
    """
    other = a.scan.truth if b is None else b
    if other is None:
        raise InputError(
            "There is no truth to compare the result with",
            where=a.scan.path or "the result",
            found="no group /truth",
            remedy="Give a second result: exitwave compare A B",
        )
    a, other = with_finite_values(a), with_finite_values(other) if isinstance(other, Result) else other
    one, two = _field(a), _field(other)
    _require_same_pixel(one, two)
    aligned = _align(one, two)
    moving, reference, area, shift, ramp = aligned[:5]
    rows, columns = largest_rectangle(area)
    pixel = (float(two.pixel[0]), float(two.pixel[1]))
    against_truth = isinstance(other, Truth)
    apart = _positions_apart(a, other)
    phase_error, period = _coarse_phase_error(moving[rows, columns], reference[rows, columns], pixel)
    return Comparison(
        error=_relative(moving[area], reference[area], complex(np.mean(reference[area]))),
        probe_error=_aligned_probe_error(one, two, shift if apart is None else shift - apart.mean(axis=0), ramp),
        position_rms=None if apart is None else float(np.linalg.norm(np.std(apart * pixel, axis=0))),
        frc=frc(moving[rows, columns], reference[rows, columns], pixel, truth=against_truth),
        phase_error=phase_error,
        coarse_period=period,
        shift=(float(-shift[0] * pixel[0]), float(-shift[1] * pixel[1])),
        pixels=int(area.sum()),
        object=moving,
        reference=reference,
        area=area,
        pixel=pixel,
        against_truth=against_truth,
        slices=_compare_slices(one, two, aligned),
    )


def _coarse_phase_error(a: NDArray[Any], b: NDArray[Any], pixel: tuple[float, float]) -> tuple[float, float]:
    """Return the rms phase in radians of the smoothed a conj(b), and the smallest period in metres that it contains.

    The Gaussian filter has fallen to exp(-1/2) at that period.
    """
    period = min(n * step for n, step in zip(a.shape, pixel, strict=True)) / COARSE
    widths = tuple(period / (2 * np.pi * step) for step in pixel)
    product = a * b.conj()
    smooth = ndimage.gaussian_filter(product.real, widths) + 1j * ndimage.gaussian_filter(product.imag, widths)
    phase = np.angle(smooth * np.conj(smooth.mean()))
    return float(np.sqrt(np.mean(phase**2))), period


def _compare_slices(one: _Field, two: _Field, aligned: _Aligned) -> NDArray[np.float64] | None:
    if not len(one.slices) == len(two.slices) > 1:
        return None
    return slice_correlations(one.slices[:, *aligned.first], two.slices[:, *aligned.second], aligned.area)


def probe_error(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return ||c U a - b|| / ||b|| of two sets of probe modes, with the scale c and the mixing U that fit b best.

    Unitary mixing of incoherent modes does not change the patterns. The best mixing is U = W V^H, where W S V^H is the
    singular value decomposition of the overlaps <a_n, b_m>.

    Parameters
    ----------
    a, b : ndarray of complex, shape (modes, ny, nx)
        Probe modes with the same shift and ramp; the numbers of modes may differ.

    Returns
    -------
    float
    """
    modes = max(len(a), len(b))
    a, b = (np.pad(probe, [(0, modes - len(probe)), (0, 0), (0, 0)]) for probe in (a, b))
    left, _, right = np.linalg.svd(np.einsum("mij,nij->mn", b, a.conj()))
    mixed = np.einsum("mn,nij->mij", left @ right, a)
    return _relative(best_scale(b, mixed) * mixed, b)


def _field(source: Result | Truth) -> _Field:
    if isinstance(source, Truth) and impossible(source.object).any():
        remedy = "Copy the file again from the original, or simulate the scan again"
        raise InputError(
            "The truth cannot be compared", where="truth", found="values that are not finite", remedy=remedy
        )
    if not source.object.any():
        remedy = "The reconstruction diverged; repeat it with smaller steps"
        raise InputError(
            "The object cannot be compared", where="image_1/data", found="all values are 0 or not finite", remedy=remedy
        )
    mask = source.mask if isinstance(source, Result) else np.ones(source.object.shape[-2:], np.float32)
    slices = source.object if source.object.ndim == 3 else source.object[None]
    return _Field(slices.prod(0), mask, source.y, source.x, source.probe, slices)


def _require_same_pixel(one: _Field, two: _Field) -> None:
    extent = np.array([two.object.shape, one.object.shape]).min(axis=0)
    if np.any(np.abs(one.pixel / two.pixel - 1) * extent > 0.5):
        sizes = [" x ".join(show(float(step), "m") for step in side.pixel) for side in (one, two)]
        raise InputError(
            "The two objects have different pixel sizes",
            where="image_1/y and image_1/x",
            found=f"{sizes[0]} and {sizes[1]} (y x x)",
            remedy="Use frames of the same size, energy, distance and detector pixel size for both",
        )


def _align(one: _Field, two: _Field) -> _Aligned:
    """Crop both to their common field and align the first; repeat if they are shifted by a pixel or more."""
    distance = (one.origin - two.origin) / two.pixel
    offset = np.rint(distance).astype(np.int64)
    for _ in range(4):
        first, second = _overlap(one.object.shape, two.object.shape, offset)
        area = _common_area(one.mask[first], two.mask[second])
        reference, ramp = remove_ramp(two.object[second], area)
        found = register(one.object[first], reference, area)
        shift, rounded = offset + found.shift - distance, np.rint(found.shift).astype(np.int64)
        if not rounded.any():
            break
        offset = offset + rounded
    return _Aligned(found.apply(one.object[first]), reference, area, shift, found.ramp + ramp, first, second)


def _aligned_probe_error(
    one: _Field, two: _Field, shift: NDArray[np.float64], ramp: NDArray[np.float64]
) -> float | None:
    """Return the probe error after the shift and ramp of the object, for which P(r - p) O(r) is invariant."""
    shape = one.probe.shape[-2:]
    if shape != two.probe.shape[-2:] or not (one.probe.any() and two.probe.any()):
        return None
    return probe_error(fourier_shift(one.probe * phase_ramp(shape, -ramp), shift), two.probe)


def _overlap(
    a: tuple[int, ...], b: tuple[int, ...], offset: NDArray[np.int64]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the slices of the common field of arrays of shapes a and b; index i of a is i + offset in b."""
    start = np.maximum(0, offset)
    stop = np.minimum(b, offset + a)
    first = tuple(slice(max(0, u - o), max(0, v - o)) for u, v, o in zip(start, stop, offset, strict=True))
    second = tuple(slice(u, max(u, v)) for u, v in zip(start, stop, strict=True))
    return first, second


def _common_area(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the area in which both masks are above one half, without its rim."""
    both = (a > 0.5) & (b > 0.5)
    area = ndimage.binary_erosion(both, np.ones((3, 3)), iterations=EROSION) if both.size else both
    extent = [side.stop - side.start for side in largest_rectangle(area)]
    if min(extent) < SMALLEST:
        raise InputError(
            "The common field of the two objects is too small",
            where="image_1/y, image_1/x and image_1/mask",
            found=f"{extent[0]} x {extent[1]} pixels covered in both",
            remedy=f"At least {SMALLEST} x {SMALLEST} are needed; check that both show the same area of the sample",
        )
    return np.asarray(area)


def _relative(a: NDArray[Any], b: NDArray[Any], mean: complex = 0.0) -> float:
    """Return ||a - b|| / ||b - mean||."""
    contrast = float(np.linalg.norm(b - mean))
    if contrast == 0:
        raise InputError(
            "The reference has no contrast, so the relative error is undefined",
            found="a constant object",
            remedy="Compare with an object that has contrast",
        )
    return float(np.linalg.norm(a - b)) / contrast


def _positions_apart(a: Result, b: Result | Truth) -> NDArray[np.float64] | None:
    """Return the positions of b minus those of a in pixels (row, column), shape (npos, 2); None for different scans."""
    nominal = b.scan.positions if isinstance(b, Result) else a.scan.positions
    if a.positions.shape != b.positions.shape or not np.array_equal(a.scan.positions, nominal):
        return None
    return (b.positions - a.positions)[:, [1, 0]] / np.array(a.object_pixel)
