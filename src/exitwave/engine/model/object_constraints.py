"""Constraints on the object: prior knowledge that is imposed after an iteration.

In this order, each if it is set:

- total variation: O <- argmin_u ||u - O||^2 / 2 + strength * mean|O| * TV(u), separately for the real and the imaginary
  part of the object without its mean phase. (Unlike the phase, these do not wrap, and are defined at zero amplitude.)
  A. Chambolle, J. Math. Imaging Vis. 20, 89 (2004).
- smoothness: O <- (1 - strength) O + strength * K O, with the binomial kernel K of 3 x 3 pixels, whose spectrum
  cos^2(pi f_y) cos^2(pi f_x) is nowhere negative.
- the artefact of a raster scan: `raster_artefact`.
- limits of the phase and of the amplitude: O <- the nearest complex number within them. The amplitude is kept where
  only the phase is limited, and the phase where only the amplitude is.

Limits of the amplitude fix the common scale of object and probe, and limits of the phase their common phase.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from exitwave.engine.model import raster_artefact
from exitwave.engine.problem import Problem
from exitwave.engine.settings import ScheduledSettings
from exitwave.engine.state import State

TV_ITERATIONS = 30
"""Largest number of iterations of Chambolle's method; the next call continues from its result."""
Object = NDArray[np.complexfloating[Any]]


class ObjectConstraints(ScheduledSettings):
    """Constraints on the object. They are imposed in iterations that update the object."""

    amplitude: tuple[float, float] | None = Field(None, description="lowest and highest amplitude; None: no limits")
    phase: tuple[float, float] | None = Field(
        None, description="lowest and highest phase in radians, within -pi to pi; None: no limits"
    )
    phase_only: bool = Field(False, description="set the amplitude to 1 everywhere")
    total_variation: float | None = Field(
        None, gt=0, le=1, description="strength of total variation, in units of the mean amplitude; None: none"
    )
    smoothness: float | None = Field(
        None, gt=0, le=1, description="strength of smoothing over 3 x 3 pixels; None: none"
    )
    grid_artefact: bool = Field(
        False, description="suppress the periods of a raster scan in the object; no effect for other scans"
    )

    @property
    def limits_amplitude(self) -> bool:
        """Whether the amplitude is limited, and with it the scale of the object."""
        return self.phase_only or self.amplitude is not None

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        if self.amplitude and not 0 <= self.amplitude[0] <= self.amplitude[1] != 0:
            raise ValueError("amplitude needs two numbers of 0 or more, the lowest first")
        if self.phase and not -np.pi <= self.phase[0] <= self.phase[1] <= np.pi:
            raise ValueError("phase needs two numbers from -pi to pi, the lowest first")
        if self.phase_only and self.amplitude:
            raise ValueError("phase_only and limits of the amplitude exclude each other; give one of them")
        return self


def constrain(state: State, problem: Problem, settings: ObjectConstraints) -> None:
    """Impose the constraints on the object in place."""
    obj = state.object
    if settings.total_variation:
        obj[...] = denoise_total_variation(obj, settings.total_variation)
    if settings.smoothness:
        obj[...] = smooth(obj, settings.smoothness)
    if settings.grid_artefact:
        positions = problem.pixels if state.positions is None else state.positions
        periods = raster_artefact.find_periods(positions[problem.used])
        if periods is not None:
            obj[...] = raster_artefact.suppress(obj, periods, positions[problem.used])
    if settings.phase:
        obj[...] = limit_phase(obj, *settings.phase)
    if settings.limits_amplitude:
        obj[...] = limit_amplitude(obj, *(settings.amplitude or (1.0, 1.0)))


def denoise_total_variation(obj: Object, strength: float) -> Object:
    """Return the object with less total variation; see the module."""
    from skimage.restoration import denoise_tv_chambolle  # slow to import

    total = obj.sum()
    phase = np.conj(total) / abs(total) if abs(total) > 0 else 1.0
    weight = strength * float(np.abs(obj).mean())
    parts = [(obj * phase).real, (obj * phase).imag]
    slices = [part.reshape(-1, *obj.shape[-2:]) for part in parts]
    real, imag = (
        np.stack([denoise_tv_chambolle(each, weight, max_num_iter=TV_ITERATIONS) for each in part]) for part in slices
    )
    return np.asarray((real + 1j * imag).reshape(obj.shape) * np.conj(phase), obj.dtype)


def smooth(obj: Object, strength: float) -> Object:
    """Return (1 - strength) O + strength * K O; pixels at the edge are repeated outside of it."""
    smoothed = obj
    for axis in (-2, -1):
        n = obj.shape[axis]
        before, after = np.r_[0, : n - 1], np.r_[1:n, n - 1]
        smoothed = (smoothed.take(before, axis) + 2 * smoothed + smoothed.take(after, axis)) / 4
    return np.asarray((1 - strength) * obj + strength * smoothed, obj.dtype)


def limit_amplitude(obj: Object, low: float, high: float) -> Object:
    """Return the object with its amplitude clipped; pixels of amplitude 0 get the phase 0."""
    amplitude = np.abs(obj)
    direction = np.where(amplitude > 0, obj / np.where(amplitude > 0, amplitude, 1), 1)
    return np.asarray(np.clip(amplitude, low, high) * direction, obj.dtype)


def limit_phase(obj: Object, low: float, high: float) -> Object:
    """Return the object with phases outside the limits moved to the nearer limit on the circle."""
    phase = np.angle(obj)
    middle, half = (low + high) / 2, (high - low) / 2
    distance = np.angle(np.exp(1j * (phase - middle)))
    limited = np.abs(obj) * np.exp(1j * (middle + np.clip(distance, -half, half)))
    return np.where(np.abs(distance) > half, limited, obj).astype(obj.dtype)
