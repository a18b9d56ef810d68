"""The verdict on a result: whether it can be trusted, its resolution and what limits it, in numbers and sentences."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from exitwave.analysis.frame_accounting import USED, account_for_frames
from exitwave.analysis.noise_limit import noise_limit
from exitwave.positions.coverage import coverage
from exitwave.scan import Result
from exitwave.units import show

TRUSTED = 1.5
"""Largest ratio of held-out error to error for a good result."""
BLIND = 0.5
"""Held-out error above which a result explains too little of the counts to be good."""
NOISY = 1.5
"""Ratio of the error to that of photon noise up to which noise limits the result."""
QUIET = 0.7
"""Ratio of the error to that of photon noise below which the error is lower than possible for photon counts."""
FAINT = 1.0
"""Mean counts per pixel and frame below which two half scans may have the same errors."""
FOOTPRINT = 0.1
"""Probe intensity relative to its maximum above which a pixel counts as illuminated."""
Grade = Literal["good", "poor", "unknown"]


@dataclass(frozen=True)
class Verdict:
    """Quality of a result. Lengths are in metres; None means unknown."""

    grade: Grade
    """``good``: the result explains the held-out frames; ``poor``: it does not; ``unknown``: no frame was held out."""
    error: float | None
    """Error metric of the used frames."""
    holdout_error: float | None
    """Error metric of the held-out frames."""
    held_out: int
    """Number of held-out frames."""
    noise_error: float | None
    """Error metric that photon noise alone causes, which is that of a perfect model."""
    above_noise: float | None
    """Error metric divided by that of photon noise, on the same frames."""
    counts: float | None
    """Mean counts per pixel and frame."""
    resolution: float | None
    """Half period down to which two halves of the scan agree."""
    halves: str
    """What was halved for the resolution, ``counts`` or ``frames``; empty if nothing was, or if it is unknown."""
    limited_by_pixel: bool
    """Whether the resolution is the pixel size."""
    area: float
    """Covered area on the sample in square metres."""
    frames_per_pixel: tuple[float, float]
    """Number of frames that illuminate a covered pixel: 5 % quantile and median."""
    photons: tuple[float, float]
    """Photons on a covered pixel: 5 % quantile and median."""
    photons_per_resolution: float | None
    """Median photons on a square whose side is the resolution."""
    modes: int
    """Number of probe modes."""

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers and the sentences, for ``--json``."""
        return asdict(self) | {"sentences": self.sentences()}

    def sentences(self) -> list[str]:
        """Return four statements: trust, resolution, limit by noise, and coverage."""
        return [self._trust(), self._resolution(), self._limit(), self._coverage()]

    def _trust(self) -> str:
        if self.error is None:
            return "Quality: unknown. The file holds no error metric."
        if self.holdout_error is None:
            return f"Error: {self.error:.3g} (0 is perfect). No frame was held out, so overfitting cannot be excluded."
        held_out = f"error on {_count(self.held_out, 'held-out frame')}: {self.holdout_error:.3g}"
        if self.grade == "good":
            return f"The image is good: {held_out}; on the used frames: {self.error:.3g} (0 is perfect)."
        if self.holdout_error > TRUSTED * self.error:
            ratio = self.holdout_error / max(self.error, 1e-12)
            fewer = "use fewer modes; " if self.modes > 1 else ""
            return (
                f"Do not trust the details of the image: {held_out}, {ratio:.2g} times that on the used frames "
                f"({self.error:.3g}). Check positions and geometry; {fewer}scan with more overlap."
            )
        return (
            f"Do not trust the image: {held_out}; on the used frames: {self.error:.3g}. The model explains only a "
            "small part of the counts. Check positions, geometry, mask and starting probe; collect more photons."
        )

    def _resolution(self) -> str:
        if self.resolution is None:
            return "Resolution: not measured. Add --frc to measure it (about three times longer)."
        bound = ", which is the pixel size; the true resolution may be better" if self.limited_by_pixel else ""
        faint = ""
        if self.counts is not None and self.counts < FAINT:
            faint = f" At {self.counts:.2g} counts per pixel and frame, coarse structure may be wrong in both halves."
        halves, detail = self.halves or "scan", show(self.resolution, "m", 3)
        return f"Resolution: {detail} (half period down to which two halves of the {halves} agree){bound}.{faint}"

    def _limit(self) -> str:
        if self.above_noise is None or self.noise_error is None:
            return "Error from photon noise alone: unknown, because frames or probe are missing."
        noise = f"Error from photon noise alone: {self.noise_error:.3g}"
        if self.above_noise < QUIET:
            return f"{noise}. The error of the image is lower: the counts are not photons, or the image fits noise."
        times = f"{noise}. The error of the image is {self.above_noise:.2g} times this"
        if self.above_noise <= NOISY:
            return f"{times}: noise limits the image, and only more photons can improve it."
        return f"{times}: more iterations, more modes or refined positions may improve it."

    def _coverage(self) -> str:
        least, median = self.frames_per_pixel
        dose = f"{self.photons[1]:.3g} photons per pixel"
        if self.photons_per_resolution is not None:
            dose += f", {self.photons_per_resolution:.3g} per square of the resolution"
        return (
            f"Covered area: {self.area * 1e12:.3g} µm²; each pixel is illuminated by about {median:.0f} frames "
            f"(at least {least:.0f}); {dose}."
        )


def verdict(result: Result) -> Verdict:
    """Judge a result.

    Parameters
    ----------
    result : Result
        Its model is recomputed for a sample of the frames, to find the error that photon noise alone causes.

    Returns
    -------
    Verdict

    Raises
    ------
    InputError
        If a position lies outside the object.
    """
    error, holdout_error = (float(e[-1]) if len(e) else None for e in (result.errors, result.holdout_errors))
    limit, covered = noise_limit(result), _coverage(result)
    frc, pixel = result.frc, result.object_pixel
    pixels = None if frc is None else frc.resolution**2 / (pixel[0] * pixel[1])
    return Verdict(
        grade=_grade(error, holdout_error),
        error=error,
        holdout_error=holdout_error,
        held_out=len(result.held_out),
        noise_error=None if limit is None else limit.error,
        above_noise=None if limit is None else limit.ratio,
        counts=None if limit is None else limit.mean_counts,
        resolution=None if frc is None else frc.resolution,
        halves="" if frc is None else frc.halves,
        limited_by_pixel=frc is not None and frc.limited_by_pixel,
        photons_per_resolution=None if pixels is None else covered["photons"][1] * pixels,
        modes=len(result.probe),
        **covered,
    )


def _grade(error: float | None, holdout_error: float | None) -> Grade:
    if error is None or holdout_error is None or not math.isfinite(error + holdout_error):
        return "unknown"
    return "good" if holdout_error <= min(TRUSTED * error, BLIND) else "poor"


def _coverage(result: Result) -> dict[str, Any]:
    """Return the fields ``area``, ``frames_per_pixel`` and ``photons`` of a verdict."""
    pixel, grid, covered = result.object_pixel, (result.y, result.x), result.mask > 0.5
    used = result.positions[account_for_frames(result)[USED]]
    intensity = np.sum(np.abs(result.probe) ** 2, axis=0)
    if not (covered.any() and intensity.any() and len(used)):
        return {"area": 0.0, "frames_per_pixel": (0.0, 0.0), "photons": (0.0, 0.0)}
    footprint = (intensity > FOOTPRINT * intensity.max()).astype(np.complex64)
    frames, photons = (coverage(used, wave, pixel, grid)[2][covered] for wave in (footprint, result.probe))
    return {
        "area": float(covered.sum()) * pixel[0] * pixel[1],
        "frames_per_pixel": (float(np.quantile(frames, 0.05)), float(np.median(frames))),
        "photons": (float(np.quantile(photons, 0.05)), float(np.median(photons))),
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
