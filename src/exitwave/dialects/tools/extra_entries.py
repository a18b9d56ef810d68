"""Extra entries: values that a format cannot hold, stored under names that its program ignores, and read back."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.write import middle
from exitwave.dialects.tools.array_checks import describe
from exitwave.dialects.tools.array_file import ArrayFile
from exitwave.documents import parse_json
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.scan import Decision, NearField, Result, Scan, scan_in

NOTES = "notes"
"""Name of the entry with numbers and text as JSON."""


def extra_entries(data: Scan | Result, dialect: str, skip: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """Return the values of a scan or a result that most formats lack, by the name of the extra entry.

    Parameters
    ----------
    data : Scan or Result
        The data that is written.
    dialect : str
        File format, by which the file is detected.
    skip : tuple of str
        Arrays that the format holds without loss.
    **more
        Further notes, ready for JSON.

    Returns
    -------
    dict
        ``notes`` (JSON), and arrays in SI units: ``positions`` (npos, 3), ``mask`` of each frame, ``dark``, ``flat``,
        ``pixel_mask``, ``monitor``, ``probe`` (modes, ny, nx); of a result also ``used_positions``, ``x``, ``y``,
        ``z``, ``inside`` and ``errors``.
    """
    notes, arrays = {"dialect": dialect} | _notes(data) | more, _arrays(data)
    if scan_in(data).detector.mask.ndim == 3:
        skip = tuple(name for name in skip if name != "mask")  # formats have one mask for all frames
    return {NOTES: json.dumps(notes)} | {name: value for name, value in arrays.items() if name not in skip}


def _notes(data: Scan | Result) -> dict[str, Any]:
    """Return numbers and text, ready for JSON."""
    scan = scan_in(data)
    detector, near = scan.detector, scan.near
    notes: dict[str, Any] = {
        "result": isinstance(data, Result),
        "energy": scan.energy,
        "distance": detector.distance,
        "pixel_size": detector.pixel_size,
        "saturation": detector.saturation,
        "corner": None if detector.corner_position is None else list(map(float, detector.corner_position)),
        "countrate_correction_applied": detector.countrate_correction_applied,
        "flatfield_applied": detector.flatfield_applied,
        "near": None if near is None else {"source_distance": near.source_distance},
        "name": scan.name,
        "description": scan.description,
        "instrument": scan.instrument,
        "left_out": scan.left_out,
        "preparation": [asdict(step) for step in scan.preparation],
    }
    if isinstance(data, Result):
        notes |= {"algorithm": data.algorithm, "program": data.provenance.get("program", "")}
    return notes


def _arrays(data: Scan | Result) -> dict[str, NDArray[Any]]:
    """Return the arrays that exist, in SI units."""
    scan = scan_in(data)
    detector = scan.detector
    arrays: dict[str, NDArray[Any] | None] = {
        "positions": scan.positions,
        "mask": detector.mask,
        "dark": detector.dark,
        "flat": detector.flat,
        "pixel_mask": detector.pixel_mask,
        "monitor": scan.monitor,
        "probe": probe_of(data),
    }
    if isinstance(data, Result):
        arrays |= {"used_positions": data.positions, "x": data.x, "y": data.y, "z": data.z}
        arrays |= {"inside": data.mask, "errors": data.errors}
    return {name: values for name, values in arrays.items() if values is not None}


def probe_of(data: Scan | Result) -> NDArray[np.complex64] | None:
    """Return the probe that is written, shape (modes, ny, nx) of the frames, or None."""
    if isinstance(data, Scan):
        return data.probe
    return middle(data.probe, data.scan.patterns.shape[1:]) if len(data.probe) else None


def losses(data: Scan | Result, program: str, mask: str = "") -> tuple[Finding, ...]:
    """Return findings on data that a file format cannot hold (W251) or its program ignores (W253).

    Parameters
    ----------
    data : Scan or Result
        The data that is written.
    program : str
        Program of the file format.
    mask : str
        Remedy for bad pixels if the format has no mask; empty: it has a mask.
    """
    scan = scan_in(data)
    detector = scan.detector
    parts = ["the simulated truth"] if scan.truth is not None else []
    if isinstance(data, Result):
        parts += [f"{name} of the model" for name in data.model]
        parts += [words for words, there in (("the recipe", data.recipe), ("the choices", data.choices)) if there]
        parts += ["the Fourier ring correlation of two halves"] if data.frc is not None else []
        parts += ["the border of the probe"] if data.probe.shape[1:] != scan.patterns.shape[1:] else []
    found = []
    if parts:
        expected = f"data that a file of {program} can hold"
        found.append(finding("W251", "", ", ".join(parts), expected, "It was left out"))
    bad = int((~detector.always_good).sum())
    ignored = {
        f"{len(scan.patterns) - len(scan.used_frames)} frames that are left out": bool(scan.left_out),
        "a dark frame, not subtracted": detector.dark is not None,
        "a flat field, not divided by": detector.flat is not None and not detector.flatfield_applied,
        f"{bad} bad pixels": bool(bad and mask),
    }
    for remark, there in ignored.items():
        if there:
            remedy = mask if remark.endswith("pixels") else f"{program} ignores it; exitwave prepare applies it"
            found.append(finding("W253", "", remark, f"data that {program} uses as it is", remedy))
    return tuple(found)


def unmet_requirements(*requirements: tuple[bool, str, str, str]) -> list[Finding]:
    """Return findings (W253) for requirements of a program: each is (unmet, found, expected, remedy)."""
    return [finding("W253", "", found, expected, remedy) for unmet, found, expected, remedy in requirements if unmet]


class ExtraEntries:
    """Read the extra entries of a file, if it has any.

    Parameters
    ----------
    array_file : ArrayFile
        The file.

    Raises
    ------
    InputError
        If the notes are not JSON.
    """

    def __init__(self, array_file: ArrayFile) -> None:
        self.array_file = array_file
        words = array_file.text(array_file.prefix + NOTES)
        try:
            notes = parse_json(words) if words else {}
            if not isinstance(notes, dict):
                raise ValueError("not an object")
        except ValueError as error:
            where = array_file.where(array_file.prefix + NOTES)
            raise InputError(
                "The notes of Exitwave are not JSON",
                where=where,
                found=error,
                remedy="Remove the entry, and give the missing values with --set",
            ) from error
        self.notes: dict[str, Any] = notes

    def array(self, name: str, shape: tuple[int, ...] | None = None, kinds: str = "biuf") -> NDArray[Any] | None:
        """Return an array, or None; raise InputError if its shape or the kind of its numbers is another."""
        values = self.array_file.array(self.array_file.prefix + name)
        if values is not None and (values.dtype.kind not in kinds or (shape is not None and values.shape != shape)):
            found = describe(values)
            where = self.array_file.where(self.array_file.prefix + name)
            raise InputError(
                "An extra entry of Exitwave has another type or shape", where=where, found=found, remedy="Remove it"
            )
        return values

    def number(self, name: str) -> float | None:
        """Return a number, or None."""
        value = self.notes.get(name)
        return float(value) if isinstance(value, int | float) else None

    def numbers(self, name: str, count: int) -> tuple[float, ...] | None:
        """Return ``count`` numbers, or None."""
        values = self.notes.get(name)
        if not isinstance(values, list) or len(values) != count or not all(isinstance(v, int | float) for v in values):
            return None
        return tuple(map(float, values))

    def text(self, name: str) -> str:
        """Return text, or an empty string."""
        value = self.notes.get(name)
        return value if isinstance(value, str) else ""

    @property
    def near(self) -> NearField | None:
        """Near-field geometry; None: far field."""
        near = self.notes.get("near")
        if not isinstance(near, dict):
            return None
        distance = near.get("source_distance")
        return NearField(abs(float(distance)) if isinstance(distance, int | float) and distance else None)

    def left_out(self, frames: int) -> dict[str, tuple[int, ...]]:
        """Return the indices of the frames that are left out, by reason."""
        stored = self.notes.get("left_out")
        items = stored.items() if isinstance(stored, dict) else ()
        return {
            str(why): tuple(i for i in indices if isinstance(i, int) and 0 <= i < frames)
            for why, indices in items
            if isinstance(indices, list)
        }

    @property
    def preparation(self) -> tuple[Decision, ...]:
        """Steps of the preparation."""
        stored = self.notes.get("preparation")
        try:
            return tuple(Decision(**each) for each in stored) if isinstance(stored, list) else ()
        except TypeError:
            return ()
