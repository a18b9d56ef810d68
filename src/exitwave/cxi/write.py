"""Write a Scan or a Result as a CXI file of the schema, block by block and atomically."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.create import create
from exitwave.cxi.digests import write_digests
from exitwave.cxi.mask import USER_BIT
from exitwave.cxi.schema import BY_KEY, TABLE, Entry, Section, path
from exitwave.cxi.write_frames import write_frames
from exitwave.errors import Finding
from exitwave.frames import Frames, MissingFrames, ViewedFrames
from exitwave.frames.linked import LinkedFrames
from exitwave.outputs import atomic, check_output
from exitwave.scan import Decision, Result, Scan, with_unreadable_frames
from exitwave.units import ELEMENTARY_CHARGE

Amend = Callable[[h5py.File], None]
"""Changes an open file of the schema into one for another program."""


def save(data: Scan | Result, path: str | Path, *, overwrite: bool = False, embed: bool = False) -> None:
    """Write a scan or a result as a CXI file of the schema.

    Parameters
    ----------
    data : Scan or Result
        What is written. The patterns of a result become a relative external link to the input.
    path : str or Path
        The file. It appears when it is complete; an interrupted run leaves no part of it.
    overwrite : bool
        Whether an existing file is replaced.
    embed : bool
        Whether the patterns of a result are copied into the file; always so where the scan has no file.

    Raises
    ------
    OutputError
        If the file exists and ``overwrite`` is False, or cannot be written.
    """
    if isinstance(data, Result):
        write_result(data, Path(path), overwrite=overwrite, embed=embed)
    else:
        write_scan(data, Path(path), overwrite=overwrite)


def write_scan(
    scan: Scan,
    target: Path,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    amend: Amend | None = None,
) -> tuple[Finding, ...]:
    """Write a scan as a CXI file of the schema.

    Parameters
    ----------
    scan : Scan
        The scan. Its patterns are read and written block by block, so they may be larger than memory.
    target : Path
        The file to write.
    overwrite : bool
        Whether an existing file may be replaced.
    progress : callable, optional
        Called with the number of frames that are written, and their total number.
    amend : callable, optional
        Changes the open file before it replaces the target.

    Returns
    -------
    tuple of Finding
        W208 if counts of good pixels lost digits in float32.

    Raises
    ------
    OutputError
        If the target exists, is a file that the scan was read from, or cannot be written. No partial file remains.
    """
    check_output(Path(target), scan.patterns.path, scan.path, overwrite=overwrite)
    with atomic(target, overwrite) as partial, create(partial) as (file, check):
        _fill(file, _sections(scan), _scan_values(scan))
        digests, findings = write_frames(file, scan, check, progress)
        findings = (*_note_unreadable_frames(file, scan), *findings)
        if amend:
            amend(file)
        write_digests(file, digests)
        return findings


def write_result(
    result: Result, target: Path, *, overwrite: bool = False, embed: bool = False, amend: Amend | None = None
) -> tuple[Finding, ...]:
    """Write a result as a CXI file.

    The patterns become an external link, relative to the folder of the target; a virtual dataset where they are in
    several files; a copy with ``embed`` and where they are not datasets of files. A view of the patterns is stored
    beside the link.

    Parameters
    ----------
    result : Result
        The result. Its probe becomes the illumination of the file.
    target : Path
        The file to write.
    overwrite : bool
        Whether an existing file may be replaced.
    embed : bool
        Whether the patterns are copied.
    amend : callable, optional
        As `write_scan`.

    Returns
    -------
    tuple of Finding
        As `write_scan`.

    Raises
    ------
    OutputError
        As `write_scan`.
    """
    scan = result.scan
    check_output(Path(target), scan.patterns.path, scan.path, overwrite=overwrite)
    link = not embed and _linkable(scan.patterns)
    size = result.object.nbytes + result.probe.nbytes
    with atomic(target, overwrite, size) as partial, create(partial) as (file, check):
        values = _scan_values(scan) | _result_values(result)
        if link and scan.patterns.view is not None:
            values["frames_view"] = json.dumps(scan.patterns.view.as_dict())
        if link:
            values |= _input_values(result, Path(target))
        _fill(file, (*_sections(scan), "result"), values)
        _set_provenance(file, result)
        digests, findings = (None, ()) if link else write_frames(file, scan, check)
        if link:
            _link_frames(file, scan, Path(target))
        else:
            findings = (*_note_unreadable_frames(file, scan), *findings)
        if amend:
            amend(file)
        write_digests(file, digests)
        return findings


def _link_frames(file: h5py.File, scan: Scan, target: Path) -> None:
    folder, frames = target.resolve().parent, _unviewed(scan.patterns)
    if isinstance(frames, LinkedFrames):
        file.create_virtual_dataset(path("frames"), frames.virtual(folder))
        return
    relative = Path(os.path.relpath(Path(str(scan.patterns.path)).resolve(), folder)).as_posix()
    file[path("frames")] = h5py.ExternalLink(relative, scan.patterns.dataset)


def _linkable(frames: Frames) -> bool:
    """Return whether patterns are a dataset of a file, datasets of several files, or a view of these."""
    source = _unviewed(frames)
    if isinstance(source, LinkedFrames):
        return source.uniform
    return type(source) in (Frames, MissingFrames) and source.path is not None


def _unviewed(frames: Frames) -> Frames:
    return frames.source if isinstance(frames, ViewedFrames) else frames


def _sections(scan: Scan) -> tuple[Section, ...]:
    return ("data",) if scan.truth is None else ("data", "truth")


def _scan_values(scan: Scan) -> dict[str, Any]:
    """Return the values of the rows of the table that come from a scan, by key."""
    detector, truth = scan.detector, scan.truth
    ny, nx = scan.patterns.shape[1:]
    (py, px), corner = detector.pixel_size, detector.corner_position
    values = {
        "entry_default": BY_KEY["data"].name,
        "description": scan.description or None,
        "instrument_name": scan.instrument or None,
        "energy": scan.energy,
        "wavelength": scan.wavelength,
        "incident_energy": scan.energy * ELEMENTARY_CHARGE,
        "illumination": _as_stored(scan.probe),
        "distance": detector.distance,
        "x_pixel_size": px,
        "y_pixel_size": py,
        "corner_position": (nx / 2 * px, ny / 2 * py, detector.distance) if corner is None else corner,
        "mask": ~detector.always_good,
        "frame_mask": detector.mask if detector.mask.ndim == 3 else None,
        "saturation_value": np.inf if detector.saturation is None else detector.saturation,
        "dark": detector.dark,
        "flat": detector.flat,
        "countrate": detector.countrate_correction_applied,
        "flatfield": detector.flatfield_applied,
        "pixel_mask": ~detector.always_good * np.uint32(USER_BIT)
        if detector.pixel_mask is None
        else detector.pixel_mask,
        "near_field": 1 if scan.near else None,
        "source_distance": -scan.near.source_distance if scan.near and scan.near.source_distance else None,
        "name": scan.name,
        "name_dataset": scan.name,
        "positions": scan.positions,
        "preparation": _decisions(scan.preparation),
        "monitor": scan.monitor,
        "left_out": json.dumps(scan.left_out) if scan.left_out else None,
    }
    if truth is not None:
        values |= {f"true_{key}": getattr(truth, key) for key in ("object", "x", "y", "z", "probe", "positions")}
        values |= {f"true_model_{name}": value for name, value in truth.model.items()}
    return values


def _result_values(result: Result) -> dict[str, Any]:
    shape = result.scan.patterns.shape[1:]
    return (
        {
            "entry_default": BY_KEY["image"].name,
            "illumination": _as_stored(middle(result.probe, shape)),
            "wide_probe": None if result.probe.shape[1:] == shape else result.probe,
            "object": result.object,
            "object_mask": result.mask,
            "object_x": result.x,
            "object_y": result.y,
            "object_z": result.z,
            "image_axes": ("y", "x") if result.z is None else ("z", "y", "x"),
            "algorithm": result.algorithm,
            "iterations": len(result.errors),
            "error_metric": result.errors,
            "holdout_error_metric": result.holdout_errors if len(result.holdout_errors) else None,
            "holdout_deviance": result.holdout_deviances if len(result.holdout_deviances) else None,
            "held_out": result.held_out if len(result.held_out) else None,
            "used_positions": result.positions,
            "recipe": json.dumps(result.recipe),
            "choices": _decisions(result.choices),
        }
        | {f"model_{name}": value for name, value in result.model.items()}
        | _frc_values(result)
    )


def _input_values(result: Result, target: Path) -> dict[str, Any]:
    """Return what is known of the linked patterns; paths are relative to the folder of the target."""
    folder, record = target.resolve().parent, result.input
    files = {Path(os.path.relpath(file, folder)).as_posix(): state.as_dict() for file, state in record.files.items()}
    return {"input_files": json.dumps(files) if files else None, "input_frames": record.frames}


def _frc_values(result: Result) -> dict[str, Any]:
    if result.frc is None:
        return {}
    names = ("frequency", "correlation", "threshold", "resolution")
    return {f"frc_{name}": getattr(result.frc, name) for name in names} | {"frc_halves": result.frc.halves or None}


def _decisions(decisions: tuple[Decision, ...]) -> str | None:
    return json.dumps([asdict(decision) for decision in decisions]) if decisions else None


def middle(probe: NDArray[np.complex64], shape: tuple[int, ...]) -> NDArray[np.complex64]:
    """Return the central part of the modes, with the shape of a frame; index n//2 stays the centre."""
    rows, columns = (slice(m // 2 - n // 2, m // 2 - n // 2 + n) for m, n in zip(probe.shape[1:], shape, strict=True))
    return probe[:, rows, columns]


def _as_stored(probe: NDArray[np.complex64] | None) -> NDArray[np.complex64] | None:
    """Return modes as (modes, ny, nx), a single mode as (ny, nx), which any program can read, and no mode as None."""
    if probe is None or len(probe) == 0:
        return None
    return probe[0] if len(probe) == 1 else probe


def _fill(file: h5py.File, sections: tuple[Section, ...], values: dict[str, Any]) -> None:
    """Write every row of the table that belongs to the sections and has a value."""
    for entry in TABLE:
        if entry.section not in sections or entry.need == "foreign":
            continue
        value = values.get(entry.key) if entry.value is None else entry.value
        if entry.kind == "group":
            # creation order is tracked where an attribute may exceed the 64 KiB of an object header
            file.create_group(entry.path, track_order=entry.key == "process")
        elif entry.kind == "link":
            if entry.target == "frames" or values.get(entry.target) is not None:
                file[entry.path] = h5py.SoftLink(path(entry.target))
        elif value is not None and entry.kind == "attribute":
            file[entry.owner].attrs[entry.name] = _typed(entry, value)
        elif value is not None:
            packed = {"compression": "gzip"} if entry.key == "frame_mask" else {}
            stored = _fixed(str(value)) if entry.dtype == "str" else _typed(entry, value)
            dataset = file.create_dataset(entry.path, data=stored, track_times=False, **packed)
            if entry.units:
                dataset.attrs["units"] = entry.units


def _typed(entry: Entry, value: Any) -> Any:
    if entry.dtype == "str":
        return np.array(value, dtype=h5py.string_dtype()) if isinstance(value, tuple) else str(value)
    return np.asarray(value).astype(entry.dtype)[()]


def _fixed(value: str) -> NDArray[Any]:
    """Return a text as a string of fixed length, which HDF5 stores in one place, so that a digest covers every bit."""
    encoded = value.encode(errors="surrogateescape")
    return np.array(encoded, h5py.string_dtype("utf-8", max(1, len(encoded))))


def _set_provenance(file: h5py.File, result: Result) -> None:
    for name, remark in result.provenance.items():
        file.create_dataset(f"{path('process')}/{name}", data=_fixed(str(remark)), track_times=False)


def _note_unreadable_frames(file: h5py.File, scan: Scan) -> tuple[Finding, ...]:
    """Add the frames that could not be read while they were copied to those that the file lists as left out."""
    noted = with_unreadable_frames(scan)
    if noted is scan:
        return ()
    entry = BY_KEY["left_out"]
    if entry.path in file:
        del file[entry.path]
    file.create_dataset(entry.path, data=_fixed(json.dumps(noted.left_out)), track_times=False)
    return tuple(each for each in noted.findings if each not in scan.findings)
