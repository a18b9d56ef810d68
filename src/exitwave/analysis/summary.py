"""Summary of a scan or result as one dictionary: geometry, scan pattern, counts and result."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.analysis.finite import with_finite_values
from exitwave.analysis.scan_pattern import guess_scan_pattern
from exitwave.errors import InputError
from exitwave.frames import MissingFrames, valid_counts
from exitwave.optics import mode_powers, probe_diameter, probe_from_pattern
from exitwave.positions import linear_overlap, neighbour_distance
from exitwave.positions.grid import object_grid
from exitwave.scan import Result, Scan, scan_in

SAMPLE = 64
"""Largest number of frames in the sample."""
STILL = 1e-3
"""Moves of the positions below this number of object pixels are rounding errors."""


def summarise(data: Scan | Result, file: Path | None = None) -> dict[str, Any]:
    """Summarise a scan or a result, from a sample of at most `SAMPLE` frames.

    Parameters
    ----------
    data : Scan or Result
        Scan or result, as `exitwave.open` returns it.
    file : Path, optional
        The file that it was opened from; its size on disk is added to that of the frames.

    Returns
    -------
    dict
        Ready for JSON, with lengths in metres, energy in eV, pairs as (y, x) and None for unknown values. Keys: name,
        instrument, description, frames, detector {shape, pixel_size, distance, masked, saturation}, energy, wavelength,
        object_pixel, object_shape, field_of_view, scan {pattern, step, overlap, probe_diameter, probe_from}, counts
        {sampled, minimum, median, maximum, brightest, saturated_pixels, bad_counts} (None if the frames of a result
        are missing), size_on_disk, truth, result (None, or {algorithm, iterations, error, holdout_error, object_shape,
        slices, modes, mode_powers, moved (None, or {metres, pixels}, rms of the moves), assumed_distance (detector
        distance before its refinement, or None)}), findings.
    """
    if isinstance(data, Result):
        data = with_finite_values(data)
    scan = scan_in(data)
    mean, counts = (None, None) if isinstance(scan.patterns, MissingFrames) else _sample(scan)
    detector = scan.detector
    span = np.ptp(scan.positions, axis=0)
    ny, nx = scan.patterns.shape[1:]
    pixel = scan.object_pixel
    y, x = object_grid(scan.positions, (ny, nx), pixel)
    return {
        "name": scan.name,
        "instrument": scan.instrument,
        "description": scan.description,
        "frames": len(scan.patterns),
        "detector": {
            "shape": [ny, nx],
            "pixel_size": list(detector.pixel_size),
            "distance": detector.distance,
            "masked": int(np.count_nonzero(~detector.always_good)),
            "saturation": detector.saturation,
        },
        "energy": scan.energy,
        "wavelength": scan.wavelength,
        "object_pixel": list(pixel),
        "object_shape": [len(y), len(x)],
        "field_of_view": [float(span[1]), float(span[0])],
        "scan": _describe_scan(scan, mean),
        "counts": counts,
        "size_on_disk": _size(file, scan.path, scan.patterns.path),
        "truth": scan.truth is not None,
        "result": _describe_result(data) if isinstance(data, Result) else None,
        "findings": [finding.as_dict() for finding in scan.findings],
    }


def _sample(scan: Scan) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Return the mean of a sample of frames, shape (ny, nx), and the statistics of their counts."""
    good = scan.detector.always_good
    limit = np.inf if scan.detector.saturation is None else scan.detector.saturation
    chosen = np.unique(np.linspace(0, len(scan.patterns) - 1, SAMPLE).astype(int))
    mean = np.zeros(scan.patterns.shape[1:])
    saturated = np.zeros(mean.shape, dtype=bool)
    totals, brightest, invalid = [], 0.0, 0
    for index, frame in zip(chosen, scan.patterns.pick(chosen), strict=True):
        if index in scan.patterns.damaged:
            continue
        usable = good & valid_counts(frame)
        invalid += int(np.count_nonzero(good & ~usable))
        frame = np.where(usable, frame, 0.0).astype(np.float64)
        mean += frame
        totals.append(float(frame.sum()))
        brightest = max(brightest, float(frame.max()))
        saturated |= frame >= limit
    return mean / len(totals), {
        "sampled": len(totals),
        "minimum": min(totals),
        "median": float(np.median(totals)),
        "maximum": max(totals),
        "brightest": brightest,
        "saturated_pixels": int(saturated.sum()),
        "bad_counts": invalid,
    }


def _describe_scan(scan: Scan, mean: NDArray[np.float64] | None) -> dict[str, Any]:
    diameter, origin = _probe_diameter(scan, mean)
    return {
        "pattern": guess_scan_pattern(scan.positions),
        "step": neighbour_distance(scan.positions),
        "overlap": linear_overlap(scan.positions, diameter) if diameter else None,
        "probe_diameter": diameter,
        "probe_from": origin,
    }


def _probe_diameter(scan: Scan, mean: NDArray[np.float64] | None) -> tuple[float | None, str | None]:
    """Return the diameter of the probe in metres and its source: the file, or the focused probe of the mean pattern."""
    pixel = scan.object_pixel
    try:
        if scan.probe is not None:
            return float(probe_diameter(scan.probe, pixel)), "file"
        if mean is None:
            return None, None
        if scan.near:
            return float(probe_diameter(np.sqrt(mean)[None], pixel)), "mean image"
        mask, length = (~scan.detector.always_good).astype(np.uint8), scan.wavelength
        probe = probe_from_pattern(mean, mask, defocus=0.0, wavelength=length, pixel=pixel)
        return float(probe_diameter(probe, pixel)), "mean pattern, in focus"
    except InputError:
        return None, None


def _size(*files: Path | None) -> int | None:
    """Return the total size of the files in bytes, or None if there are none."""
    found = {file.resolve() for file in files if file is not None and file.exists()}
    return sum(file.stat().st_size for file in found) if found else None


def _describe_result(result: Result) -> dict[str, Any]:
    assumed = result.model.get("assumed_distance")
    last = [float(errors[-1]) if len(errors) else None for errors in (result.errors, result.holdout_errors)]
    return {
        "algorithm": result.algorithm,
        "iterations": len(result.errors),
        "error": last[0],
        "holdout_error": last[1],
        "object_shape": list(result.object.shape[-2:]),
        "slices": result.slices,
        "modes": len(result.probe),
        "mode_powers": mode_powers(result.probe).tolist(),
        "moved": _moved(result),
        "assumed_distance": float(assumed) if assumed is not None else None,
    }


def _moved(result: Result) -> dict[str, float] | None:
    """Return the rms move of the refined positions in metres and in object pixels, or None if they were not refined.

    The mean move is subtracted, because it only shifts the object.
    """
    moved = (result.positions - result.scan.positions)[:, :2]
    if np.abs(moved / np.array(result.object_pixel[::-1])).max() < STILL:
        return None
    moved = moved - moved.mean(0)
    pixels = moved / np.array(result.object_pixel[::-1])
    metres, steps = (float(np.sqrt((move**2).sum(1).mean())) for move in (moved, pixels))
    return {"metres": metres, "pixels": steps}
