"""What the detector does to the far field, in the model rather than in the counts, which keep their Poisson statistics.

    m = flat * (A_y s A_x^T) + B,    s = sum_k |F psi_k|^2,    A = (point spread) (binning)

The flat field is an efficiency: a pixel counts ``flat`` of what falls on it. The background B is there without beam.
A pixel is the sum of ``oversample`` samples of the far field along each axis: the probe's field is then so many times
larger, with the same object pixel wavelength * distance / (n * detector pixel), for n grows as the sample shrinks. The
samples lie about the pixel's centre; one on the border of two pixels belongs half to each. (P. Thibault and A. Menzel,
Nature 494, 68 (2013), and D. J. Batey et al., Phys. Rev. A 89, 043812 (2014) fit finer samples in the same way.) The
point spread is a Gaussian between detector pixels, periodic at the frame's edges.

With g = -dL/dm of a loss L, minus its derivative with respect to conj(psi) is F^-1 [(A_y^T (flat g) A_x) F psi].

A saturated pixel says that there was as much or more: where the model exceeds the cap nothing is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from exitwave.engine.settings import Settings
from exitwave.errors import InputError
from exitwave.scan import Scan

NEVER = np.float32(np.finfo(np.float32).max)
"""The cap of a pixel that does not saturate."""
REACH = 4.0
"""Where the point spread is cut off, in standard deviations."""
FAINTEST = 0.05
"""A pixel of less efficiency than this part of the mean says nothing."""


class DetectorSettings(Settings):
    """What of the detector is in the model: by default nothing but a flat field that is not applied yet."""

    background: Annotated[float, Field(ge=0)] | Literal["dark"] | None = Field(
        None,
        description="counts per pixel without beam, or dark: the dark frame in the model, in place of subtracting it",
    )
    flat: bool | None = Field(
        None, description="flat field as efficiency in the model; None: where there is one that is not applied yet"
    )
    saturated: Literal["exclude", "cap"] = Field(
        "exclude", description="leave saturated pixels out, or take their counts for a cap that the model may exceed"
    )
    oversample: int = Field(1, ge=1, le=8, description="samples of the far field along each side of a detector pixel")
    blur: float = Field(0.0, ge=0, le=20, description="standard deviation of the point spread in detector pixels")


@dataclass(frozen=True, eq=False)
class DetectorModel:
    """From the intensity of the far field to the expected counts; arrays have the order of the stack."""

    flat: NDArray[np.float32]
    """Efficiency relative to the mean, shape (ny, nx)."""
    background: NDArray[np.float32]
    """Counts without beam, shape (ny, nx)."""
    cap: NDArray[np.float32]
    """Counts from which on a pixel is saturated, shape (ny, nx); `NEVER` where it is not."""
    oversample: int = 1
    """Samples along each side of a pixel."""
    blur: float = 0.0
    """Standard deviation of the point spread in pixels."""

    @cached_property
    def kernel(self) -> NDArray[np.float64]:
        """The point spread along one axis, of sum 1, shape (2 reach + 1,)."""
        reach = int(REACH * self.blur + 0.5)
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(self.blur, 1e-9)) ** 2)
        return np.asarray(kernel / kernel.sum())

    @property
    def local(self) -> bool:
        """Whether a pixel sees one sample of the far field."""
        return self.oversample == 1 and self.blur == 0

    @cached_property
    def axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The matrices A_y and A_x, shape (n, oversample * n)."""
        ny, nx = self.flat.shape
        return self._axis(ny), self._axis(nx)

    def _axis(self, n: int) -> NDArray[np.float64]:
        spread, samples = np.zeros((n, n)), np.arange(self.oversample * n)
        for k, weight in enumerate(self.kernel):
            spread += weight * np.roll(np.eye(n), k - len(self.kernel) // 2, 0)
        binned = np.zeros((n, self.oversample * n))
        for pixels in owners(samples, self.oversample, n):
            binned[pixels, samples] += 0.5
        return np.asarray(spread @ binned)

    def counts(self, intensity: NDArray[Any], more: NDArray[Any] | None = None) -> NDArray[np.float64]:
        """Return m of the intensity s, shape (..., q ny, q nx); ``more`` is background beside that of the model."""
        return self.linear(intensity) + self.background + (0 if more is None else more)

    def linear(self, intensity: NDArray[Any]) -> NDArray[np.float64]:
        """Return m without the background."""
        if self.local:
            return np.asarray(self.flat * intensity, np.float64)
        ay, ax = self.axes
        return np.asarray(self.flat * (ay @ intensity @ ax.T))

    def changed(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> "DetectorModel":
        """Return the detector with something done to all arrays of pixels."""
        return replace(self, flat=change(self.flat), background=change(self.background), cap=change(self.cap))

    def back(self, force: NDArray[Any]) -> NDArray[np.float64]:
        """Return the adjoint of `linear`."""
        if self.local:
            return np.asarray(self.flat * force, np.float64)
        ay, ax = self.axes
        return np.asarray(ay.T @ (self.flat * force) @ ax)


def owners(samples: NDArray[np.int64], oversample: int, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the two pixels, of n, that own half of a sample each: the same one, but for a sample on a border."""
    first, rest = divmod(samples + oversample // 2, oversample)
    border = (rest == 0) & (oversample % 2 == 0)
    return first % n, (first - border) % n


def ideal(shape: tuple[int, int]) -> DetectorModel:
    """Return an ideal detector of a shape (ny, nx)."""
    return DetectorModel(np.ones(shape, np.float32), np.zeros(shape, np.float32), np.full(shape, NEVER))


def detector_model(scan: Scan, settings: DetectorSettings, *, saturated: bool) -> DetectorModel | None:
    """Return what the settings put of a scan's detector into the model, zero frequency at [0, 0]; None: nothing.

    Parameters
    ----------
    scan : Scan
        The scan; pixels that its flat field calls blind must be left out of the frames, see `blind`.
    settings : DetectorSettings
        What is in the model.
    saturated : bool
        Whether there are saturated pixels.

    Raises
    ------
    InputError
        If a dark frame or a flat field is asked for that the scan does not have, or something of a near field, or
        saturated pixels of binned frames as caps.
    """
    if settings.saturated == "cap" and _binned(scan):
        found = "a bin is marked where one of its pixels is saturated, and its counts are no cap"
        remedy = "Leave saturated pixels out (detector.saturated: exclude), or do not bin the frames"
        raise InputError("Saturated pixels of binned frames are no caps", found=found, remedy=remedy)
    detector, shape = scan.detector, scan.patterns.shape[1:]
    model = replace(ideal(shape), oversample=settings.oversample, blur=settings.blur)
    plain = model.local
    if settings.background is not None:
        plain, model = False, replace(model, background=_background(scan, settings))
    if (flat := efficiency(scan, settings)) is not None:
        plain, model = False, replace(model, flat=_corner(np.where(blind(flat), 1, flat)))
    if settings.saturated == "cap" and saturated and detector.saturation is not None:
        cap = np.full(shape, detector.saturation, np.float32)
        subtracted = detector.dark is not None and settings.background != "dark"
        plain, model = False, replace(model, cap=_corner(detector.without_dark(cap) if subtracted else cap))
    if not plain and scan.near:
        remedy = "Leave the settings of the group detector out"
        found = settings.model_dump_json(exclude_defaults=True)
        raise InputError("The detector of a near field is not in the model yet", found=found, remedy=remedy)
    return None if plain else model


def _binned(scan: Scan) -> bool:
    """Say whether pixels of the frames are sums of several."""
    view = scan.patterns.view
    return (view is not None and view.bin > 1) or any(step.settings.get("bin", 1) > 1 for step in scan.preparation)


def efficiency(scan: Scan, settings: DetectorSettings) -> NDArray[np.float64] | None:
    """Return the flat field relative to its mean over the good pixels, centred; None where it is not in the model."""
    detector = scan.detector
    needless = detector.flat is None or detector.flatfield_applied or scan.near is not None
    if settings.flat is False or (settings.flat is None and needless):
        return None
    if detector.flat is None:
        remedy = "Leave out the setting detector.flat"
        raise InputError("The scan has no flat field", where=scan.path or "", found="none", remedy=remedy)
    flat = detector.flat.astype(np.float64)
    good = detector.always_good & np.isfinite(flat) & (flat > 0)
    if not good.any():
        remedy = "Set detector.flat to false"
        raise InputError("The flat field has no good pixel", where=scan.path or "", found="0 or NaN", remedy=remedy)
    return np.asarray(flat / flat[good].mean())


def blind(flat: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which pixels of a relative flat field say nothing of the beam."""
    return ~np.isfinite(flat) | (flat < FAINTEST)


def _background(scan: Scan, settings: DetectorSettings) -> NDArray[np.float32]:
    if settings.background != "dark":
        return np.full(scan.patterns.shape[1:], settings.background, np.float32)
    if scan.detector.dark is None:
        remedy = "Give detector.background as a number of counts, or leave it out"
        raise InputError("The scan has no dark frame", where=scan.path or "", found="none", remedy=remedy)
    return _corner(np.maximum(np.nan_to_num(scan.detector.dark), 0))


def _corner(array: NDArray[Any]) -> NDArray[np.float32]:
    """Return an array with zero frequency at [0, 0]."""
    return np.ascontiguousarray(np.fft.ifftshift(array), np.float32)
