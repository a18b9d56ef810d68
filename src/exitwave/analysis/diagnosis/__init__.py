"""What is wrong with a measurement, before and after its reconstruction: each finding with a number and a remedy."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from exitwave.analysis.diagnosis.codes import CODES, Diagnosis, found
from exitwave.analysis.diagnosis.light import diagnose_light
from exitwave.analysis.diagnosis.model import diagnose_model
from exitwave.analysis.diagnosis.pixels import diagnose_pixels
from exitwave.analysis.diagnosis.places import diagnose_positions
from exitwave.analysis.diagnosis.sample import Sample, take
from exitwave.frames import MissingFrames
from exitwave.optics import probe_diameter
from exitwave.scan import Result, Scan, scan_in

__all__ = ["CODES", "Diagnosis", "diagnose"]

CELLS = 500
"""Cells along a side of the scan in which the covered area is counted."""
BETTER = 1.1
"""Error with the orientation of the scan over the least one, from which on the axes are wrong."""
_ORDER = ("error", "warning", "info")


def diagnose(data: Scan | Result, orientations: Mapping[str, float] | None = None) -> tuple[Diagnosis, ...]:
    """Say what is wrong with a scan, or with a result and the scan that it was made from.

    Parameters
    ----------
    data : Scan or Result
        Of a scan some frames are looked at, which takes about a second. Frames that are left out are not. Of a result
        the model is computed again for some frames.
    orientations : mapping of str to float, optional
        Error with every orientation of the axes that was tried, by its name, that of the scan first. A result that was
        made without saying how has its own.

    Returns
    -------
    tuple of Diagnosis
        The worst first; empty where nothing is wrong. `CODES` lists what can be.
    """
    scan = scan_in(data)
    sample = None if isinstance(scan.patterns, MissingFrames) else take(scan)
    probe = data.probe if isinstance(data, Result) else scan.probe
    diameter = _diameter(scan, probe, sample)
    used = scan.wanted
    diagnoses = list(diagnose_positions(data.positions[used], diameter))
    if sample is not None and len(sample.frames) > 1:
        diagnoses += diagnose_pixels(sample)
        diagnoses += diagnose_light(sample, _covered(scan, used, diameter))
    diagnoses += _orientation(orientations or _chosen(data))
    if isinstance(data, Result) and sample is not None:
        diagnoses += diagnose_model(data, {each.code for each in diagnoses})
    return tuple(sorted(diagnoses, key=lambda each: _ORDER.index(each.level)))


def _chosen(data: Scan | Result) -> dict[str, float]:
    """Return the errors of the orientations that were tried before a result was made, its own first."""
    steps = data.choices if isinstance(data, Result) else ()
    for step in steps:
        errors = step.settings.get("errors") if step.heading == "orientation" else None
        if isinstance(errors, Mapping) and step.name in errors:
            return {step.name: float(errors[step.name])} | {name: float(error) for name, error in errors.items()}
    return {}


def _orientation(errors: Mapping[str, float]) -> list[Diagnosis]:
    """Say that another orientation than the first explains the frames better."""
    if not errors:
        return []
    best, own = min(errors, key=errors.__getitem__), next(iter(errors))
    ratio = errors[own] / max(errors[best], 1e-12)
    if ratio < BETTER:
        return []
    return [found("D412", ratio, f"The error is {ratio:.3g} times that with the orientation {best}.")]


def _diameter(scan: Scan, probe: NDArray[Any] | None, sample: Sample | None) -> float | None:
    """Return the diameter of the beam in metres: of the probe, else as the exit waves say; None: unknown."""
    pixel = scan.object_pixel
    if probe is not None and np.any(probe):
        return float(probe_diameter(probe, pixel))
    if sample is None:
        return None
    if scan.near:
        return float(probe_diameter(np.sqrt(np.maximum(sample.mean, 0))[None], pixel)) if sample.mean.any() else None
    return None if sample.reach is None else sample.reach * float(np.sqrt(pixel[0] * pixel[1]))


def _covered(scan: Scan, used: NDArray[np.int64], diameter: float | None) -> float | None:
    """Return how many object pixels lie within a radius of the beam from a position, about."""
    if not diameter or not len(used):
        return None
    plane = scan.positions[used, :2]
    cell = max(diameter / 8, float(np.ptp(plane, axis=0).max()) / CELLS)
    index = np.rint((plane - plane.min(axis=0) + diameter) / cell).astype(np.int64)
    away = np.ones(index.max(axis=0) + int(diameter / cell) + 2)
    away[index[:, 0], index[:, 1]] = 0
    seen = distance_transform_edt(away) * cell <= max(diameter / 2, cell / 2)
    return float(seen.sum()) * cell**2 / (scan.object_pixel[0] * scan.object_pixel[1])
