"""What is known of the probe beforehand, imposed after an iteration.

In this order, each where it is set:

- centring: the centre of mass of the probe's intensity goes to the position, at index n//2 of the array. With d its
  distance from there, P(r) <- P(r + d) and s_j <- s_j + d leave every exit wave as it is on the sample. What all
  positions have gained in whole pixels is then taken from them, and the object moves instead.
- phase ramp: P <- P exp(i q r) and O <- O exp(-i q r), with q the mean slope of the object's phase over the scanned
  field in whole detector pixels, 2 pi k / n. A frame's exit wave gets another constant phase, up to what the probe's
  spectrum has in the outermost k lines. (A ramp of parts of a pixel would not be periodic on the probe's array.)
- support in real space: P <- P inside, 0 outside;
- support in Fourier space, the pupil of the lens: the same for F P;
- power: sum_k |P_k|^2 <- the mean counts of a frame, and the object is divided by what the probe is multiplied with, so
  that the model does not change. (An object that is not updated stays.)
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import fft
from scipy.ndimage import binary_dilation, binary_fill_holes, gaussian_filter

from exitwave.engine.problem import Problem
from exitwave.engine.settings import ScheduledSettings
from exitwave.engine.state import Memory, State
from exitwave.errors import InputError
from exitwave.optics import phase_ramp

SHRINK, BLUR = 0.01, 2.0
"""Shrink-wrap: the part of the largest amplitude, blurred by so many pixels, that is inside."""
PUPIL, RIM = 0.05, 2
"""Pupil from the mean pattern: the part of its high counts that is inside, and pixels added around."""
SLACK = {"whole": 1.0, "subpixel": 0.05}
"""Pixels by which a probe may be off its centre before it is moved."""
Radius = Annotated[float, Field(gt=0, le=1.5)]
Probe = NDArray[np.complexfloating[Any]]


class ProbeConstraints(ScheduledSettings):
    """What is known of the probe. It is imposed in iterations that update the probe."""

    support: Radius | Literal["shrink-wrap"] | None = Field(
        None,
        description="where the probe may be: radius in halves of the shorter side, or where it is bright; "
        "None: everywhere",
    )
    fourier_support: Radius | Literal["pattern"] | None = Field(
        None,
        description="where its far field may be: radius in halves of the shorter side, or where the mean pattern is "
        "bright; None: everywhere",
    )
    power: bool = Field(False, description="its power is the mean counts of a frame")
    centre: Literal["whole", "subpixel"] | None = Field(
        None, description="move it to the middle by whole pixels or less, and object and positions with it; None: no"
    )
    ramp: bool = Field(
        False, description="the slope of the object's phase, in whole detector pixels, is the probe's instead"
    )

    @property
    def moves_object(self) -> bool:
        """Whether the object changes along with the probe, other than in its scale."""
        return self.centre is not None or self.ramp


def check(problem: Problem, settings: ProbeConstraints) -> None:
    """Refuse what the near field knows better: its images show where the beam is, and no pupil."""
    if problem.propagator is None:
        return
    remedy = "Leave it out; in the near field the images show where the probe is"
    if settings.centre:
        raise InputError(
            "A probe in the near field cannot be centred", found=f"centre: {settings.centre}", remedy=remedy
        )
    if settings.fourier_support == "pattern":
        remedy = "Give fourier_support as a radius"
        raise InputError("Images of the near field show no pupil", found="fourier_support: pattern", remedy=remedy)


@dataclass
class ConstraintMemory(Memory):
    """Support in Fourier space from the mean pattern, zero frequency at n//2; None: not computed yet."""

    pupil: NDArray[np.bool_] | None = None


def constrain(
    state: State, problem: Problem, settings: ProbeConstraints, memory: ConstraintMemory, *, with_object: bool
) -> None:
    """Impose the constraints on the probe in place.

    ``with_object`` says that the object may follow. Where it may not, the probe has no freedom to be centred.
    """
    if settings.centre and with_object:
        centre(state, problem, settings.centre)
    if settings.ramp and with_object:
        level(state, problem)
    if settings.support is not None:
        inside = shrunk(state.probe) if settings.support == "shrink-wrap" else disc(problem.shape, settings.support)
        _each(state, lambda waves: waves * inside)
    if settings.fourier_support is not None:
        pupil = fft.ifftshift(_pupil(memory, problem, settings.fourier_support))
        _each(state, lambda waves: fft.ifft2(fft.fft2(waves) * pupil))
    if settings.power:
        factor = state.probe.real.dtype.type(np.sqrt(problem.photons) / np.linalg.norm(state.probe))
        _each(state, lambda waves: waves * factor)
        if with_object:
            first = entrance(state)
            first /= factor


def _each(state: State, change: Any) -> None:
    """Change the probe in place, and what varies in it from frame to frame."""
    state.probe[...] = change(state.probe)
    if state.opr_modes is not None:
        state.opr_modes = np.asarray(change(state.opr_modes), state.opr_modes.dtype)


def centre(state: State, problem: Problem, by: Literal["whole", "subpixel"]) -> None:
    """Move the probe to the middle of its array, and positions and object with it."""
    off = offset(state.probe)
    if np.abs(off).max() < SLACK[by]:
        return
    off = np.rint(off) if by == "whole" else off
    nominal = problem.pixels.astype(np.float64)
    positions = (nominal if state.positions is None else state.positions) + off
    whole = np.rint((positions - nominal)[problem.used].mean(0)).astype(int)
    _each(state, lambda waves: shifted(waves, -off))
    state.object[...] = np.roll(state.object, tuple(-whole), (-2, -1))
    if by == "subpixel" or state.positions is not None:
        state.positions = positions - whole
    state.restart()


def offset(probe: Probe) -> NDArray[np.float64]:
    """Return how far (row, column) the centre of mass of all modes' intensity is from index n//2, in pixels.

    On the circle, so that the array's edge is nowhere: the phase of the first Fourier coefficient.
    """
    intensity = (np.abs(probe) ** 2).sum(0)
    off = []
    for axis, n in enumerate(intensity.shape):
        profile = intensity.sum(1 - axis)
        turn = np.sum(profile * np.exp(2j * np.pi * (np.arange(n) - n // 2) / n))
        off.append(n * np.angle(turn) / (2 * np.pi))
    return np.array(off)


def shifted(waves: Probe, by: NDArray[np.float64]) -> Probe:
    """Return waves moved by (rows, columns) pixels: rolled by whole ones, else with a linear phase in Fourier space."""
    if np.array_equal(by, np.rint(by)):
        return np.roll(waves, tuple(by.astype(int)), (-2, -1))
    fy, fx = (fft.fftfreq(n) for n in waves.shape[-2:])
    ramp = np.exp(-2j * np.pi * (fy[:, None] * by[0] + fx * by[1]))
    return np.asarray(fft.ifft2(fft.fft2(waves) * ramp), waves.dtype)


def level(state: State, problem: Problem) -> None:
    """Take the slope of the object's phase to the probe, in whole detector pixels."""
    pixels = np.array(problem.shape) / (2 * np.pi)
    first = entrance(state)
    whole = np.rint(slope(first, problem) * pixels)
    if not whole.any():
        return
    tilt = whole / pixels
    first *= phase_ramp(first.shape, -tilt).astype(first.dtype)
    ramp = phase_ramp(problem.shape, tilt)
    _each(state, lambda waves: waves * ramp)
    state.restart()


def entrance(state: State) -> NDArray[np.complexfloating[Any]]:
    """Return the object, of a thick sample the slice that the probe enters."""
    return state.object if state.object.ndim == 2 else state.object[0]


def slope(obj: NDArray[np.complexfloating[Any]], problem: Problem) -> NDArray[np.float64]:
    """Return the mean phase step between neighbours along rows and columns over the scanned field, in radians."""
    low, high = problem.pixels[problem.used].min(0), problem.pixels[problem.used].max(0)
    (top, left), (bottom, right) = np.floor(low).astype(int), np.ceil(high).astype(int) + 2
    field = obj[..., top:bottom, left:right]
    return np.array(
        [np.angle(np.vdot(field[..., :-1, :], field[..., 1:, :])), np.angle(np.vdot(field[..., :-1], field[..., 1:]))]
    )


def disc(shape: tuple[int, ...], radius: float) -> NDArray[np.bool_]:
    """Return a disc about index n//2, its radius in halves of the shorter side."""
    y, x = (np.arange(n) - n // 2 for n in shape)
    return np.asarray(np.hypot(y[:, None], x) <= radius * min(shape) / 2)


def shrunk(probe: Probe) -> NDArray[np.bool_]:
    """Return where the probe is bright: shrink-wrap, S. Marchesini et al., Phys. Rev. B 68, 140101 (2003)."""
    amplitude = gaussian_filter(np.sqrt((np.abs(probe) ** 2).sum(0)), BLUR, mode="wrap")
    return np.asarray(amplitude > SHRINK * amplitude.max())


def _pupil(memory: ConstraintMemory, problem: Problem, support: float | Literal["pattern"]) -> NDArray[np.bool_]:
    """Return the support in Fourier space, zero frequency at n//2; that of the pattern is found once in a stage."""
    if support != "pattern":
        return disc(problem.shape, support)
    if memory.pupil is None:
        memory.pupil = bright(problem)
    return memory.pupil


def bright(problem: Problem) -> NDArray[np.bool_]:
    """Return where the mean pattern of the used frames is bright, without holes and with a rim; zero at n//2."""
    pattern = fft.fftshift(problem.mean()[0])
    inside = gaussian_filter(pattern, 1) > PUPIL * np.quantile(pattern[pattern > 0], 0.99)
    return np.asarray(binary_dilation(binary_fill_holes(inside), iterations=RIM))
