"""What is known of the object beforehand, imposed after an iteration.

In this order, each where it is set:

- total variation: O <- argmin_u ||u - O||^2 / 2 + strength * mean|O| * TV(u), of the real and of the imaginary part
  after the mean phase is taken out. (Parts neither wrap nor mind a zero.) A. Chambolle, J. Math. Imaging Vis. 20, 89
  (2004).
- smoothness: O <- (1 - strength) O + strength * K O, with the binomial kernel K of 3 x 3 pixels, whose spectrum
  cos^2(pi f_y) cos^2(pi f_x) is nowhere negative.
- the artefact of a raster scan: `lattice`.
- limits of the phase and of the amplitude, of the nearest complex number between them: the amplitude is kept where
  only the phase is limited, and the phase where only the amplitude is.

Limits settle the scale (and the phase) that object and probe have in common: the probe grows to what the limits leave.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from exitwave.engine.model import raster_artefact
from exitwave.engine.problem import Problem
from exitwave.engine.settings import ScheduledSettings
from exitwave.engine.state import State

TURNS = 30
"""The most iterations of Chambolle's method; what is left is done after the next iteration."""
Object = NDArray[np.complexfloating[Any]]


class ObjectConstraints(ScheduledSettings):
    """What is known of the object. It is imposed in iterations that update the object."""

    amplitude: tuple[float, float] | None = Field(None, description="lowest and highest amplitude; None: any")
    phase: tuple[float, float] | None = Field(
        None, description="lowest and highest phase in radians, within -pi to pi; None: any"
    )
    phase_only: bool = Field(False, description="the amplitude is 1 everywhere")
    total_variation: float | None = Field(
        None, gt=0, le=1, description="strength of total variation, in parts of the mean amplitude; None: none"
    )
    smoothness: float | None = Field(
        None, gt=0, le=1, description="strength of smoothing over 3 x 3 pixels; None: none"
    )
    grid_artefact: bool = Field(False, description="suppress the periods of a raster scan; other scans are left alone")

    @property
    def limits_amplitude(self) -> bool:
        """Whether the amplitude is limited, and with it the scale of the object."""
        return self.phase_only or self.amplitude is not None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.amplitude and not 0 <= self.amplitude[0] <= self.amplitude[1] != 0:
            raise ValueError("amplitude needs two numbers of 0 or more, the lowest first")
        if self.phase and not -np.pi <= self.phase[0] <= self.phase[1] <= np.pi:
            raise ValueError("phase needs two numbers from -pi to pi, the lowest first")
        if self.phase_only and self.amplitude:
            raise ValueError("phase_only leaves no room for limits of the amplitude; give one of them")
        return self


def constrain(state: State, problem: Problem, settings: ObjectConstraints) -> None:
    """Impose the constraints on the object in place."""
    obj = state.object
    if settings.total_variation:
        obj[...] = less_variation(obj, settings.total_variation)
    if settings.smoothness:
        obj[...] = smoother(obj, settings.smoothness)
    if settings.grid_artefact:
        positions = problem.pixels if state.positions is None else state.positions
        basis = raster_artefact.find(positions[problem.used])
        if basis is not None:
            obj[...] = raster_artefact.suppress(obj, basis, positions[problem.used])
    if settings.phase:
        obj[...] = within_phases(obj, *settings.phase)
    if settings.limits_amplitude:
        obj[...] = within_amplitudes(obj, *(settings.amplitude or (1.0, 1.0)))


def less_variation(obj: Object, strength: float) -> Object:
    """Return the object with less total variation; see the module."""
    from skimage.restoration import denoise_tv_chambolle  # which takes its time to import

    total = obj.sum()
    turn = np.conj(total) / abs(total) if abs(total) > 0 else 1.0
    weight = strength * float(np.abs(obj).mean())
    parts = [(obj * turn).real, (obj * turn).imag]
    planes = [part.reshape(-1, *obj.shape[-2:]) for part in parts]
    real, imag = (
        np.stack([denoise_tv_chambolle(each, weight, max_num_iter=TURNS) for each in plane]) for plane in planes
    )
    return np.asarray((real + 1j * imag).reshape(obj.shape) * np.conj(turn), obj.dtype)


def smoother(obj: Object, strength: float) -> Object:
    """Return the object mixed with its binomial mean over 3 x 3 pixels; edges count twice."""
    smooth = obj
    for axis in (-2, -1):
        n = obj.shape[axis]
        before, after = np.r_[0, : n - 1], np.r_[1:n, n - 1]
        smooth = (smooth.take(before, axis) + 2 * smooth + smooth.take(after, axis)) / 4
    return np.asarray((1 - strength) * obj + strength * smooth, obj.dtype)


def within_amplitudes(obj: Object, low: float, high: float) -> Object:
    """Return the object with its amplitudes between limits; 0 has the phase 0."""
    amplitude = np.abs(obj)
    direction = np.where(amplitude > 0, obj / np.where(amplitude > 0, amplitude, 1), 1)
    return np.asarray(np.clip(amplitude, low, high) * direction, obj.dtype)


def within_phases(obj: Object, low: float, high: float) -> Object:
    """Return the object with its phases between limits: those outside go to the nearer limit on the circle."""
    phase = np.angle(obj)
    middle, reach = (low + high) / 2, (high - low) / 2
    away = np.angle(np.exp(1j * (phase - middle)))
    limited = np.abs(obj) * np.exp(1j * (middle + np.clip(away, -reach, reach)))
    return np.where(np.abs(away) > reach, limited, obj).astype(obj.dtype)
