"""Diagnosis: problems of a scan or result, each with a number, its consequence and a remedy."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from exitwave.analysis.diagnosis.codes import CODES, Diagnosis, make_diagnosis
from exitwave.analysis.diagnosis.counts import diagnose_counts
from exitwave.analysis.diagnosis.frame_sample import FrameSample, sample_frames
from exitwave.analysis.diagnosis.model import diagnose_model
from exitwave.analysis.diagnosis.near_field import diagnose_near_field
from exitwave.analysis.diagnosis.order import diagnose_order
from exitwave.analysis.diagnosis.pixels import diagnose_pixels
from exitwave.analysis.diagnosis.positions import diagnose_positions
from exitwave.analysis.diagnosis.repeats import diagnose_repeats, find_repeats
from exitwave.analysis.diagnosis.values import diagnose_values
from exitwave.analysis.finite import with_finite_values
from exitwave.frames import MissingFrames
from exitwave.optics import probe_diameter
from exitwave.scan import Result, Scan, scan_in

__all__ = ["CODES", "Diagnosis", "diagnose"]

CELLS = 500
"""Largest number of cells along a side of the scan for the covered area."""
WRONG_AXES = 1.1
"""Ratio of the error with the scan's orientation to the smallest error, from which on the axes are wrong."""
_LEVELS = ("error", "warning", "info")
_MODEL = ("D405", "D406", "D408", "D409", "D418")
"""Problems of a model that does not explain the counts."""
_LAST = ("D413", "D409", "D402", "D403", "D404", "D401", "D418")
"""Problems that are named after others of their level, in this order. Wrong positions can cause weak modes, holes and
a small overlap; where a cause is known, an unexplained model is its consequence."""


def diagnose(data: Scan | Result, orientations: Mapping[str, float] | None = None) -> tuple[Diagnosis, ...]:
    """Find the problems of a scan, or of a result and its scan.

    Parameters
    ----------
    data : Scan or Result
        Of a scan, a sample of the used frames is read, which takes about a second. Of a result, the model is also
        recomputed for some frames.
    orientations : mapping of str to float, optional
        Error with every tested orientation of the axes, by name, starting with that of the scan. By default that of
        the orientation test before the reconstruction, if there was one.

    Returns
    -------
    tuple of Diagnosis
        The most serious problems first, causes before consequences; empty if there are none. `CODES` lists all problems
        that can be found.
    """
    values = tuple(diagnose_values(data)) if isinstance(data, Result) else ()
    orientations = orientations or _tested_orientations(data)
    if isinstance(data, Result):
        data = with_finite_values(data)
    if any(each.code == "D424" for each in values):  # without power there is no model to diagnose
        data = scan_in(data)
    scan = scan_in(data)
    sample = None if isinstance(scan.patterns, MissingFrames) else sample_frames(scan)
    probe = data.probe if isinstance(data, Result) else scan.probe
    diameter = _beam_diameter(scan, probe, sample)
    used = scan.used_frames
    diagnoses = [*values, *diagnose_near_field(scan), *diagnose_positions(data.positions[used], diameter)]
    if sample is not None and len(sample.frames) > 1:
        diagnoses += diagnose_pixels(sample)
        pointing = isinstance(data, Result) and "pointing" in data.model
        diagnoses += diagnose_counts(sample, _covered_pixels(scan, used, diameter), pointing=pointing)
    diagnoses += _orientation(orientations)
    diagnoses += _scale(data)
    if isinstance(data, Result) and sample is not None:
        diagnoses += diagnose_model(data, {diagnosis.code for diagnosis in diagnoses})
    if sample is not None:
        diagnoses += _sequence(data, sample, diagnoses)
    if isinstance(data, Result):
        diagnoses = _without_doubtful_overlap(diagnoses)
    return tuple(sorted(diagnoses, key=_rank))


def _sequence(data: Scan | Result, sample: FrameSample, known: list[Diagnosis]) -> list[Diagnosis]:
    """Check whether frames are repeated, and whether frames and positions are in step.

    A model that explains the counts of a result excludes the latter. Where the centre of the patterns moves, it is not
    checked before the pointing is refined: frames before and after a jump differ as frames out of step do (measured: in
    7 of 120 simulated scans with a jump of 1 or 2 pixels, with up to 12 standard errors).
    """
    repeats = find_repeats(sample)
    found = list(diagnose_repeats(sample, repeats))
    result = data if isinstance(data, Result) else None
    unexplained = result is None or any(each.code in _MODEL and each.level != "info" for each in known)
    moves = any(each.code == "D421" and each.level != "info" for each in known)
    if unexplained and not moves and not sample.scan.near:
        found += diagnose_order(sample, repeats, result)
    return found


def _without_doubtful_overlap(diagnoses: list[Diagnosis]) -> list[Diagnosis]:
    """Return diagnoses in which a small overlap (D402) is no error where positions or geometry have failed.

    The width of the beam, and with it the overlap, is that of a probe which is then wrong.
    """
    failed = any(each.code in ("D408", "D411", "D412", "D419") and each.level != "info" for each in diagnoses)
    return [replace(each, level="warning") if failed and each.code == "D402" else each for each in diagnoses]


def _rank(diagnosis: Diagnosis) -> tuple[int, int]:
    """Return the place of a diagnosis among others: by level, then causes before their consequences."""
    return _LEVELS.index(diagnosis.level), _LAST.index(diagnosis.code) + 1 if diagnosis.code in _LAST else 0


def _tested_orientations(data: Scan | Result) -> dict[str, float]:
    """Return the errors of the orientations that were tested before the reconstruction, that of the result first."""
    decisions = data.choices if isinstance(data, Result) else ()
    for decision in decisions:
        errors = decision.settings.get("errors") if decision.heading == "orientation" else None
        if isinstance(errors, Mapping) and decision.name in errors:
            chosen = {decision.name: float(errors[decision.name])}
            return chosen | {name: float(error) for name, error in errors.items()}
    return {}


def _orientation(errors: Mapping[str, float]) -> list[Diagnosis]:
    """Check whether another orientation than the first explains the frames better."""
    if not errors:
        return []
    best, own = min(errors, key=errors.__getitem__), next(iter(errors))
    ratio = errors[own] / max(errors[best], 1e-12)
    if ratio < WRONG_AXES:
        return []
    return [make_diagnosis("D412", ratio, f"The error is {ratio:.3g} times that with the orientation {best}.")]


def _scale(data: Scan | Result) -> list[Diagnosis]:
    """Report a scale of the positions that was found to be wrong before the reconstruction (`scale_trial`)."""
    for decision in data.choices if isinstance(data, Result) else ():
        if decision.heading == "scale" and "factor" in decision.settings:
            factor, right = float(decision.settings["factor"]), decision.settings["right"]
            evidence = f"The frames fit together with all positions times {factor:.3g}: {decision.why}."
            values = [f"--set {key}={value}" for key, value in right.items()]
            remedy = f"Reconstruct the scan with the value that is wrong in the file: {', or '.join(values)}."
            return [replace(make_diagnosis("D411", factor, evidence), remedy=remedy)]
    return []


def _beam_diameter(scan: Scan, probe: NDArray[Any] | None, sample: FrameSample | None) -> float | None:
    """Return the diameter of the beam in metres, from the probe or else from the patterns; None if unknown."""
    pixel = scan.object_pixel
    if probe is not None and np.any(probe):
        return float(probe_diameter(probe, pixel))
    if sample is None:
        return None
    if scan.near:
        return float(probe_diameter(np.sqrt(np.maximum(sample.mean, 0))[None], pixel)) if sample.mean.any() else None
    return None if sample.wave_extent is None else sample.wave_extent * float(np.sqrt(pixel[0] * pixel[1]))


def _covered_pixels(scan: Scan, used: NDArray[np.int64], diameter: float | None) -> float | None:
    """Return the approximate number of object pixels within one beam radius of a position."""
    if not diameter or not len(used):
        return None
    plane = scan.positions[used, :2]
    cell = max(diameter / 8, float(np.ptp(plane, axis=0).max()) / CELLS)
    index = np.rint((plane - plane.min(axis=0) + diameter) / cell).astype(np.int64)
    distant = np.ones(index.max(axis=0) + int(diameter / cell) + 2)
    distant[index[:, 0], index[:, 1]] = 0
    covered = distance_transform_edt(distant) * cell <= max(diameter / 2, cell / 2)
    return float(covered.sum()) * cell**2 / (scan.object_pixel[0] * scan.object_pixel[1])
