"""The verdict on a result: its grade with the reasons, the numbers behind it and what limits it, in sentences."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from exitwave.analysis.deviance import Deviance, deviance_of_held_out, deviance_of_used
from exitwave.analysis.diagnosis import Diagnosis, diagnose
from exitwave.analysis.finite import with_finite_values
from exitwave.analysis.frame_accounting import USED, account_for_frames
from exitwave.analysis.grade import LIMITS, Evidence, Grade, Limit, grade, limit_of
from exitwave.analysis.halves import Halves, compare_halves
from exitwave.positions.coverage import coverage
from exitwave.scan import Result
from exitwave.units import show

FAINT = 1.0
"""Mean counts per pixel and frame below which two half scans may have the same errors."""
TENTH = 10
"""The end of a run, in which its convergence is measured, is one part in so many of its iterations."""
FOOTPRINT = 0.1
"""Probe intensity relative to its maximum above which a pixel counts as illuminated."""


@dataclass(frozen=True)
class Verdict:
    """Quality of a result. Lengths are in metres; None means unknown."""

    grade: Grade
    """``GOOD``: nothing but photon noise was found to limit the image; ``CHECK``: details may be wrong; ``BAD``: the
    image is wrong."""
    reasons: list[str]
    """Reasons of the grade, the most important first."""
    limit: Limit
    """What limits the image."""
    score: float | None
    """Quality from 0 to 1: (1 - estimated error) / disagreement, the latter at least 1."""
    halves: Halves | None
    """Estimated error of the image, and disagreement of two halves of the frames."""
    used: Deviance | None
    """Deviance of used frames from the model."""
    held_out: Deviance | None
    """Deviance of held-out frames inside the covered area."""
    error: float | None
    """Error metric of the used frames."""
    holdout_error: float | None
    """Error metric of the held-out frames."""
    resolution: float | None
    """Half period down to which two halves of the scan agree."""
    halved: str
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

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers and the sentences, for ``--json``."""
        return asdict(self) | {
            "halves": None if self.halves is None else self.halves._asdict(),
            "used": None if self.used is None else self.used.as_dict(),
            "held_out": None if self.held_out is None else self.held_out.as_dict(),
            "sentences": self.sentences(),
        }

    def headline(self) -> str:
        """Return the grade and its first reason, in one line."""
        return f"{self.grade}: {self.reasons[0]}."

    def sentences(self) -> list[str]:
        """Return the headline, and statements on error, counts, resolution and coverage."""
        return [self.headline(), self._image(), self._counts(), self._resolution(), self._coverage()]

    def _image(self) -> str:
        if self.halves is None:
            return f"Estimated error of the image: unknown. {LIMITS[self.limit]}"
        error, noise = (f"{100 * each:.2g} %" for each in (self.halves.estimated_error, self.halves.noise_error))
        text = f"Estimated error of the image: {error} of its contrast; from photon noise alone: {noise}."
        return f"{text} {LIMITS[self.limit]}"

    def _counts(self) -> str:
        if self.used is None:
            return "Deviance of the counts from the model: unknown, because frames or probe are missing."
        held_out = "no frame was held out"
        if self.holdout_error is not None:
            held_out = "no held-out frame is inside the covered area"
        if self.held_out is not None:
            held_out = f"{self.held_out.ratio:.3g} in {_count(self.held_out.frames, 'held-out frame')}"
        text = f"Deviance of the counts from the model (1 is photon noise): {self.used.ratio:.3g} in used frames, "
        return f"{text}{held_out}. {self._error_metric()}"

    def _error_metric(self) -> str:
        if self.error is None:
            return "The file holds no error metric."
        held_out = "" if self.holdout_error is None else f", held out {self.holdout_error:.3g}"
        return f"Error metric: used {self.error:.3g}{held_out}."

    def _resolution(self) -> str:
        if self.resolution is None:
            return "Resolution: not measured. Add --frc to measure it (about three times longer)."
        bound = ", which is the pixel size; the true resolution may be better" if self.limited_by_pixel else ""
        faint = ""
        if self.used is not None and self.used.mean_counts < FAINT:
            counts = f"{self.used.mean_counts:.2g} counts per pixel and frame"
            faint = f" At {counts}, coarse structure may be wrong in both halves."
        halved, detail = self.halved or "scan", show(self.resolution, "m", 3)
        return f"Resolution: {detail} (half period down to which two halves of the {halved} agree){bound}.{faint}"

    def _coverage(self) -> str:
        least, median = self.frames_per_pixel
        dose = f"{self.photons[1]:.3g} photons per pixel"
        if self.photons_per_resolution is not None:
            dose += f", {self.photons_per_resolution:.3g} per square of the resolution"
        return (
            f"Covered area: {self.area * 1e12:.3g} µm²; each pixel is illuminated by about {median:.0f} frames "
            f"(at least {least:.0f}); {dose}."
        )


def verdict(result: Result, diagnoses: Sequence[Diagnosis] | None = None) -> Verdict:
    """Judge a result.

    Parameters
    ----------
    result : Result
        Its model is recomputed for samples of the frames, and two halves of the frames are compared.
    diagnoses : sequence of Diagnosis, optional
        The problems of the result; by default they are found (`diagnose`).

    Returns
    -------
    Verdict

    Raises
    ------
    InputError
        If a position lies outside the object.
    """
    error, holdout_error = (float(e[-1]) if len(e) else None for e in (result.errors, result.holdout_errors))
    diagnoses = diagnose(result) if diagnoses is None else diagnoses
    result = with_finite_values(result)
    evidence = Evidence(
        halves=compare_halves(result),
        used=deviance_of_used(result),
        held_out=deviance_of_held_out(result),
        holdout_error=holdout_error,
        moved=_moved(result),
        improving=_improving(result),
        diagnoses=diagnoses,
        diverged=result.provenance.get("stopped_by") == "divergence",
    )
    found, reasons = grade(evidence)
    covered, halves = _coverage(result), evidence.halves
    frc, pixel = result.frc, result.object_pixel
    pixels = None if frc is None else frc.resolution**2 / (pixel[0] * pixel[1])
    return Verdict(
        grade=found,
        reasons=reasons,
        limit=limit_of(evidence),
        score=None if halves is None else max(0.0, 1 - halves.estimated_error) / max(1.0, halves.disagreement),
        halves=halves,
        used=evidence.used,
        held_out=evidence.held_out,
        error=error,
        holdout_error=holdout_error,
        resolution=None if frc is None else frc.resolution,
        halved="" if frc is None else frc.halves,
        limited_by_pixel=frc is not None and frc.limited_by_pixel,
        photons_per_resolution=None if pixels is None else covered["photons"][1] * pixels,
        **covered,
    )


def _moved(result: Result) -> float:
    """Return the rms of the moves by which a refinement has changed the positions, in object pixels."""
    moves = (result.positions - result.scan.positions)[account_for_frames(result)[USED], :2]
    moves = (moves - moves.mean(axis=0)) / np.array(result.object_pixel[::-1]) if len(moves) else np.zeros((1, 2))
    return float(np.sqrt((moves**2).sum(axis=1).mean()))


def _improving(result: Result) -> float:
    """Return the relative decrease of the error metric in the last tenth of the iterations."""
    errors = result.errors
    before = len(errors) - max(1, len(errors) // TENTH) - 1
    return float(1 - errors[-1] / errors[before]) if before >= 0 and errors[before] > 0 else 0.0


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
