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

NEVER = np.float32(np.finfo(np.float32).max)
"""The cap of a pixel that does not saturate."""
REACH = 4.0
"""Where the point spread is cut off, in standard deviations."""


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
