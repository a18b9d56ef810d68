"""Model of a non-ideal detector. The counts are not corrected, so that they keep their Poisson statistics.

    m = flat * (A_y s A_x^T) + B,    s = sum_k |F psi_k|^2,    A = (point spread) (binning)

The flat field is an efficiency: a pixel counts the part ``flat`` of the photons on it. The background B is the counts
without the beam. A pixel is the sum of ``oversample`` samples of the far field along each axis. The probe's array is
larger by this factor, with the same object pixel wavelength * distance / (n * detector pixel), because n grows as the
sample shrinks. The samples are centred on the pixel; a sample on the border of two pixels belongs half to each. (P.
Thibault and A. Menzel, Nature 494, 68 (2013), and D. J. Batey et al., Phys. Rev. A 89, 043812 (2014) fit finer samples
in the same way.) The point spread is a Gaussian between detector pixels, periodic at the frame's edges.

With g = -dL/dm of a loss L, minus its derivative with respect to conj(psi) is F^-1 [(A_y^T (flat g) A_x) F psi].

The counts of a saturated pixel are a lower bound: where the model exceeds the cap, the correction is 0.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from exitwave.engine.settings import Settings

NO_CAP = np.float32(np.finfo(np.float32).max)
"""The cap of a pixel that does not saturate."""
KERNEL_RADIUS = 4.0
"""Radius at which the point spread is cut off, in standard deviations."""


class DetectorSettings(Settings):
    """Properties of the detector in the model: by default only a flat field that is not applied yet."""

    background: Annotated[float, Field(ge=0)] | Literal["dark"] | None = Field(
        None,
        description="counts per pixel without the beam, or dark: model the dark frame instead of subtracting it",
    )
    flat: bool | None = Field(
        None, description="model the flat field as efficiency; None: if there is one that is not applied yet"
    )
    saturated: Literal["exclude", "cap"] = Field(
        "exclude", description="exclude saturated pixels, or cap: use their counts as a lower bound for the model"
    )
    oversample: int = Field(1, ge=1, le=8, description="samples of the far field along each side of a detector pixel")
    blur: float = Field(0.0, ge=0, le=20, description="standard deviation of the point spread in detector pixels")


@dataclass(frozen=True, eq=False)
class DetectorModel:
    """Detector model: from the intensity of the far field to the modelled counts. Arrays are laid out like `counts`."""

    flat: NDArray[np.float32]
    """Efficiency relative to the mean, shape (ny, nx)."""
    background: NDArray[np.float32]
    """Counts without the beam, shape (ny, nx)."""
    cap: NDArray[np.float32]
    """Counts from which on a pixel is saturated, shape (ny, nx); `NO_CAP` for a pixel that does not saturate."""
    oversample: int = 1
    """Samples along each side of a pixel."""
    blur: float = 0.0
    """Standard deviation of the point spread in pixels."""

    @cached_property
    def kernel(self) -> NDArray[np.float64]:
        """The point spread along one axis, normalised to a sum of 1, shape (2 radius + 1,)."""
        radius = int(KERNEL_RADIUS * self.blur + 0.5)
        kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(self.blur, 1e-9)) ** 2)
        return np.asarray(kernel / kernel.sum())

    @property
    def local(self) -> bool:
        """Whether a pixel depends on one sample of the far field only."""
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
        for pixels in _pixels_of_samples(samples, self.oversample, n):
            binned[pixels, samples] += 0.5
        return np.asarray(spread @ binned)

    def counts(self, intensity: NDArray[Any], background: NDArray[Any] | None = None) -> NDArray[np.float64]:
        """Return m of the intensity s, shape (..., q ny, q nx); ``background`` is added to that of the detector."""
        return self.linear(intensity) + self.background + (0 if background is None else background)

    def linear(self, intensity: NDArray[Any]) -> NDArray[np.float64]:
        """Return m without the background."""
        if self.local:
            return np.asarray(self.flat * intensity, np.float64)
        ay, ax = self.axes
        return np.asarray(self.flat * (ay @ intensity @ ax.T))

    def map_pixels(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> "DetectorModel":
        """Return the detector with a function applied to all arrays of pixels."""
        return replace(self, flat=change(self.flat), background=change(self.background), cap=change(self.cap))

    def back(self, force: NDArray[Any]) -> NDArray[np.float64]:
        """Return the adjoint of `linear`."""
        if self.local:
            return np.asarray(self.flat * force, np.float64)
        ay, ax = self.axes
        return np.asarray(ay.T @ (self.flat * force) @ ax)


def _pixels_of_samples(
    samples: NDArray[np.int64], oversample: int, n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the two pixels, of n, to which half of each sample belongs: equal, except for a sample on a border."""
    first, rest = divmod(samples + oversample // 2, oversample)
    border = (rest == 0) & (oversample % 2 == 0)
    return first % n, (first - border) % n


def ideal(shape: tuple[int, int]) -> DetectorModel:
    """Return an ideal detector of a shape (ny, nx)."""
    return DetectorModel(np.ones(shape, np.float32), np.zeros(shape, np.float32), np.full(shape, NO_CAP))
