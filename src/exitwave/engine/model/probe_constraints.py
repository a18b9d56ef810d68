"""Constraints on the probe: prior knowledge that is imposed after an iteration.

In this order, each if it is set:

- centring: the centre of mass of the probe's intensity moves to the position, which is index n//2 of the array. With d
  its distance from there, P(r) <- P(r + d) and s_j <- s_j + d leave every exit wave where it is on the sample. The
  common displacement of all positions in whole pixels is then subtracted from them, and the object is rolled instead.
- phase ramp: P <- P exp(i q r) and O <- O exp(-i q r), with q the mean slope of the object's phase over the scanned
  field in whole detector pixels, 2 pi k / n. The exit waves change by a constant phase, and by the part of the probe's
  spectrum in the outermost k lines. (A ramp of a fraction of a pixel would not be periodic on the probe's array.)
- support in real space: P <- P inside, 0 outside.
- support in Fourier space, the pupil of the lens: the same for F P.
- power: sum_k |P_k|^2 <- the mean counts of a frame. The object is divided by the factor of the probe, so that the
  model does not change. (An object that is not updated stays as it is.)
"""

from collections.abc import Callable
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

SHRINK_WRAP, SHRINK_WRAP_BLUR = 0.01, 2.0
"""Shrink-wrap: threshold relative to the largest amplitude, and standard deviation of the blur in pixels."""
PUPIL, PUPIL_MARGIN = 0.05, 2
"""Pupil from the mean pattern: threshold relative to the pattern's high counts, and pixels added around it."""
CENTRE_TOLERANCE = {"whole": 1.0, "subpixel": 0.05}
"""Distance from the centre in pixels above which a probe is moved."""
Radius = Annotated[float, Field(gt=0, le=1.5)]
Probe = NDArray[np.complexfloating[Any]]


class ProbeConstraints(ScheduledSettings):
    """Constraints on the probe. They are imposed in iterations that update the probe."""

    support: Radius | Literal["shrink-wrap"] | None = Field(
        None,
        description="support of the probe: radius of a disc in halves of the shorter side, or shrink-wrap: where the "
        "probe is bright; None: no support",
    )
    fourier_support: Radius | Literal["pattern"] | None = Field(
        None,
        description="support of the probe's far field: radius of a disc in halves of the shorter side, or pattern: "
        "where the mean pattern is bright; None: no support",
    )
    power: bool = Field(False, description="set the power of the probe to the mean counts of a frame")
    centre: Literal["whole", "subpixel"] | None = Field(
        None,
        description="centre the probe in its array, in steps of whole pixels or exactly, and move object and positions "
        "accordingly; None: do not",
    )
    ramp: bool = Field(
        False,
        description="move the slope of the object's phase, in whole detector pixels, from the object to the probe",
    )

    @property
    def moves_object(self) -> bool:
        """Whether these constraints change more of the object than its scale."""
        return self.centre is not None or self.ramp


def check(problem: Problem, settings: ProbeConstraints) -> None:
    """Raise InputError for constraints that do not apply in the near field."""
    if problem.propagator is None:
        return
    if settings.centre:
        remedy = "Leave it out; in the near field the images show where the probe is"
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

    ``with_object`` allows changes of the object. Without it the probe is neither centred nor given a phase ramp.
    """
    if settings.centre and with_object:
        centre_probe(state, problem, settings.centre)
    if settings.ramp and with_object:
        move_phase_ramp(state, problem)
    if settings.support is not None:
        known = settings.support
        support = shrink_wrap_support(state.probe) if known == "shrink-wrap" else disc(problem.shape, known)
        _change_probe(state, lambda waves: waves * support)
    if settings.fourier_support is not None:
        pupil = fft.ifftshift(_fourier_support(memory, problem, settings.fourier_support))
        _change_probe(state, lambda waves: fft.ifft2(fft.fft2(waves) * pupil))
    if settings.power:
        factor = state.probe.real.dtype.type(np.sqrt(problem.photons) / np.linalg.norm(state.probe))
        _change_probe(state, lambda waves: waves * factor)
        if with_object:
            first = first_slice(state)
            first /= factor


def _change_probe(state: State, change: Callable[[Probe], Any]) -> None:
    """Apply a linear change to the probe in place, and to the OPR modes."""
    state.probe[...] = change(state.probe)
    if state.opr_modes is not None:
        state.opr_modes = np.asarray(change(state.opr_modes), state.opr_modes.dtype)


def centre_probe(state: State, problem: Problem, by: Literal["whole", "subpixel"]) -> None:
    """Move the probe to the middle of its array, and positions and object accordingly."""
    offset = centre_offset(state.probe)
    if np.abs(offset).max() < CENTRE_TOLERANCE[by]:
        return
    offset = np.rint(offset) if by == "whole" else offset
    nominal = problem.pixels.astype(np.float64)
    positions = (nominal if state.positions is None else state.positions) + offset
    whole = np.rint((positions - nominal)[problem.used].mean(0)).astype(int)
    _change_probe(state, lambda waves: shift_waves(waves, -offset))
    state.object[...] = np.roll(state.object, tuple(-whole), (-2, -1))
    if by == "subpixel" or state.positions is not None:
        state.positions = positions - whole
    state.restart()


def centre_offset(probe: Probe) -> NDArray[np.float64]:
    """Return the offset (row, column) of the centre of mass of all modes' intensity from index n//2, in pixels.

    It is the phase of the first Fourier coefficient along each axis, so the array has no edge.
    """
    intensity = (np.abs(probe) ** 2).sum(0)
    offset = []
    for axis, n in enumerate(intensity.shape):
        profile = intensity.sum(1 - axis)
        coefficient = np.sum(profile * np.exp(2j * np.pi * (np.arange(n) - n // 2) / n))
        offset.append(n * np.angle(coefficient) / (2 * np.pi))
    return np.array(offset)


def shift_waves(waves: Probe, by: NDArray[np.float64]) -> Probe:
    """Return waves moved by (rows, columns) pixels: rolled by whole ones, else with a linear phase in Fourier space."""
    if np.array_equal(by, np.rint(by)):
        return np.roll(waves, tuple(by.astype(int)), (-2, -1))
    fy, fx = (fft.fftfreq(n) for n in waves.shape[-2:])
    ramp = np.exp(-2j * np.pi * (fy[:, None] * by[0] + fx * by[1]))
    return np.asarray(fft.ifft2(fft.fft2(waves) * ramp), waves.dtype)


def move_phase_ramp(state: State, problem: Problem) -> None:
    """Move the slope of the object's phase from the object to the probe, in whole detector pixels."""
    pixels = np.array(problem.shape) / (2 * np.pi)
    first = first_slice(state)
    whole = np.rint(mean_phase_slope(first, problem) * pixels)
    if not whole.any():
        return
    slope = whole / pixels
    first *= phase_ramp(first.shape, -slope).astype(first.dtype)
    ramp = phase_ramp(problem.shape, slope)
    _change_probe(state, lambda waves: waves * ramp)
    state.restart()


def first_slice(state: State) -> NDArray[np.complexfloating[Any]]:
    """Return the object, or the slice of a thick sample that the probe enters first."""
    return state.object if state.object.ndim == 2 else state.object[0]


def mean_phase_slope(obj: NDArray[np.complexfloating[Any]], problem: Problem) -> NDArray[np.float64]:
    """Return the mean phase step between neighbours along rows and columns over the scanned field, in radians."""
    low, high = problem.pixels[problem.used].min(0), problem.pixels[problem.used].max(0)
    (top, left), (bottom, right) = np.floor(low).astype(int), np.ceil(high).astype(int) + 2
    field = obj[..., top:bottom, left:right]
    return np.array(
        [np.angle(np.vdot(field[..., :-1, :], field[..., 1:, :])), np.angle(np.vdot(field[..., :-1], field[..., 1:]))]
    )


def disc(shape: tuple[int, ...], radius: float) -> NDArray[np.bool_]:
    """Return a disc about index n//2, with the radius in halves of the shorter side."""
    y, x = (np.arange(n) - n // 2 for n in shape)
    return np.asarray(np.hypot(y[:, None], x) <= radius * min(shape) / 2)


def shrink_wrap_support(probe: Probe) -> NDArray[np.bool_]:
    """Return where the probe is bright: shrink-wrap, S. Marchesini et al., Phys. Rev. B 68, 140101 (2003)."""
    amplitude = gaussian_filter(np.sqrt((np.abs(probe) ** 2).sum(0)), SHRINK_WRAP_BLUR, mode="wrap")
    return np.asarray(amplitude > SHRINK_WRAP * amplitude.max())


def _fourier_support(
    memory: ConstraintMemory, problem: Problem, support: float | Literal["pattern"]
) -> NDArray[np.bool_]:
    """Return the support in Fourier space, zero frequency at n//2; that of the pattern is computed once in a stage."""
    if support != "pattern":
        return disc(problem.shape, support)
    if memory.pupil is None:
        memory.pupil = pupil_from_pattern(problem)
    return memory.pupil


def pupil_from_pattern(problem: Problem) -> NDArray[np.bool_]:
    """Return where the mean pattern of the used frames is bright, without holes and with a margin; zero at n//2."""
    pattern = fft.fftshift(problem.mean()[0])
    bright = gaussian_filter(pattern, 1) > PUPIL * np.quantile(pattern[pattern > 0], 0.99)
    return np.asarray(binary_dilation(binary_fill_holes(bright), iterations=PUPIL_MARGIN))
