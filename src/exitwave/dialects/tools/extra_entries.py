"""What a format has no place for, kept beside its own entries under names that its program ignores; and read back."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.write import middle
from exitwave.dialects.tools.array_file import ArrayFile
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.scan import Decision, NearField, Result, Scan, scan_in

NOTES = "notes"
"""The entry that holds numbers and text, as JSON."""


def extra_entries(data: Scan | Result, dialect: str, but: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """Return everything of a scan or a result that most formats lack, by the name of the entry of ours.

    Parameters
    ----------
    data : Scan or Result
        What is written.
    dialect : str
        Whose file it is; the mark by which the file is told.
    but : tuple of str
        Arrays that the format holds itself, as exactly.
    **more
        Further notes, ready for JSON.

    Returns
    -------
    dict
        ``notes`` (JSON), and arrays in SI units: ``positions`` (npos, 3), ``mask`` of every frame, ``dark``, ``flat``,
        ``pixel_mask``, ``monitor``, ``probe`` (modes, ny, nx); of a result also ``used_positions``, ``x``, ``y``,
        ``z``, ``inside`` and ``errors``.
    """
    scan = scan_in(data)
    detector, near = scan.detector, scan.near
    notes: dict[str, Any] = {
        "dialect": dialect,
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
    arrays: dict[str, Any] = {
        "positions": scan.positions,
        "mask": detector.mask if detector.mask.ndim == 3 or "mask" not in but else None,
        "dark": detector.dark,
        "flat": detector.flat,
        "pixel_mask": detector.pixel_mask,
        "monitor": scan.monitor,
        "probe": probe_of(data),
    }
    if isinstance(data, Result):
        notes |= {"algorithm": data.algorithm, "program": data.provenance.get("program", "")}
        arrays |= {"used_positions": data.positions, "x": data.x, "y": data.y, "z": data.z}
        arrays |= {"inside": data.mask, "errors": data.errors}
    extra = {name: value for name, value in arrays.items() if value is not None and (name == "mask" or name not in but)}
    return {NOTES: json.dumps(notes | more)} | extra


def probe_of(data: Scan | Result) -> NDArray[np.complex64] | None:
    """Return the probe that a file gets, shape (modes, ny, nx) of the frames, or None where there is none."""
    if isinstance(data, Scan):
        return data.probe
    return middle(data.probe, data.scan.patterns.shape[1:]) if len(data.probe) else None


def losses(data: Scan | Result, program: str, mask: str = "") -> tuple[Finding, ...]:
    """Return what comes to a file of another program in part (W251), or is there but not for the program (W253).

    Parameters
    ----------
    data : Scan or Result
        What is written.
    program : str
        Whose file it is.
    mask : str
        What to do about bad pixels where the format has no mask; empty: it has one.
    """
    scan = scan_in(data)
    detector = scan.detector
    parts = ["the simulated truth"] if scan.truth is not None else []
    if isinstance(data, Result):
        parts += [f"the model's {name}" for name in data.model]
        parts += [words for words, there in (("the recipe", data.recipe), ("the choices", data.choices)) if there]
        parts += ["the correlation of two halves"] if data.frc is not None else []
        parts += ["the rim of the probe"] if data.probe.shape[1:] != scan.patterns.shape[1:] else []
    found = (
        [finding("W251", "", ", ".join(parts), f"what a file of {program} holds", "It was left out")] if parts else []
    )
    bad = int((~detector.always_good).sum())
    unseen = {
        f"{len(scan.patterns) - len(scan.wanted)} frames that are not to be used": bool(scan.left_out),
        "a dark frame, not subtracted": detector.dark is not None,
        "a flat field, not divided by": detector.flat is not None and not detector.flatfield_applied,
        f"{bad} bad pixels": bool(bad and mask),
    }
    for remark, there in unseen.items():
        if there:
            remedy = mask if remark.endswith("pixels") else f"{program} takes no notice; exitwave prepare does"
            found.append(finding("W253", "", remark, f"frames for {program} as they are", remedy))
    return tuple(found)


def unmet_requirements(*wants: tuple[bool, str, str, str]) -> list[Finding]:
    """Return what a program asks of its files and does not get (W253): whether so, what it gets, wants, a remedy."""
    return [finding("W253", "", seen, expected, remedy) for there, seen, expected, remedy in wants if there]


class ExtraEntries:
    """What Exitwave has added to a file, if it has.

    Parameters
    ----------
    store : Store
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
            notes = json.loads(words) if words else {}
            if not isinstance(notes, dict):
                raise ValueError("not an object")
        except (ValueError, RecursionError) as error:
            where = array_file.where(array_file.prefix + NOTES)
            raise InputError(
                "The notes of Exitwave are not JSON",
                where=where,
                found=error,
                remedy="Remove the entry, and give with --set what the file then lacks",
            ) from error
        self.notes: dict[str, Any] = notes

    def array(self, name: str, shape: tuple[int, ...] | None = None, kinds: str = "biuf") -> NDArray[Any] | None:
        """Return an array of a shape and of some kinds of numbers, or None where there is none."""
        values = self.array_file.array(self.array_file.prefix + name)
        if values is not None and (values.dtype.kind not in kinds or (shape is not None and values.shape != shape)):
            found = f"{values.dtype} of shape {values.shape}"
            where = self.array_file.where(self.array_file.prefix + name)
            raise InputError("An entry of Exitwave has another form", where=where, found=found, remedy="Remove it")
        return values

    def number(self, name: str) -> float | None:
        """Return a number, or None where there is none."""
        value = self.notes.get(name)
        return float(value) if isinstance(value, int | float) else None

    def numbers(self, name: str, count: int) -> tuple[float, ...] | None:
        """Return a list of numbers of a length, or None where there is none."""
        values = self.notes.get(name)
        if not isinstance(values, list) or len(values) != count or not all(isinstance(v, int | float) for v in values):
            return None
        return tuple(map(float, values))

    def text(self, name: str) -> str:
        """Return text, or an empty string where there is none."""
        value = self.notes.get(name)
        return value if isinstance(value, str) else ""

    @property
    def near(self) -> NearField | None:
        """That the frames are images in the near field."""
        near = self.notes.get("near")
        if not isinstance(near, dict):
            return None
        distance = near.get("source_distance")
        return NearField(abs(float(distance)) if isinstance(distance, int | float) and distance else None)

    def left_out(self, frames: int) -> dict[str, tuple[int, ...]]:
        """Return which of some frames are not to be used, by the reason."""
        stored = self.notes.get("left_out")
        items = stored.items() if isinstance(stored, dict) else ()
        return {
            str(why): tuple(i for i in indices if isinstance(i, int) and 0 <= i < frames)
            for why, indices in items
            if isinstance(indices, list)
        }

    @property
    def preparation(self) -> tuple[Decision, ...]:
        """What was done to the measurement."""
        stored = self.notes.get("preparation")
        try:
            return tuple(Decision(**each) for each in stored) if isinstance(stored, list) else ()
        except TypeError:
            return ()
