"""Detect the file format from the content, give the reason, and refuse a file that two formats read differently."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from exitwave.cxi.frame_settings import FRAME_SETTINGS, with_frame_settings
from exitwave.cxi.links import check_linked_files
from exitwave.cxi.read import OVERRIDES
from exitwave.dialects.dialect import Dialect, Evidence, Settings
from exitwave.dialects.registry import DIALECTS
from exitwave.errors import DAMAGE, ExitwaveError, Finding, InputError, damaged, did_you_mean
from exitwave.findings import finding
from exitwave.frames.confine import collecting, confining, is_confined, is_outside
from exitwave.inputs import note_input
from exitwave.scan import Result, Scan, scan_in, with_scan

SAME = 1e-9
"""Relative difference up to which two readings of a number count as equal."""


def open(path: str | Path, dialect: str = "auto", *, confine: bool = False, **overrides: str) -> Scan | Result:
    """Open a CXI file or a file of another program. The patterns stay in the file.

    Parameters
    ----------
    path : str or Path
        The file; it is never changed.
    dialect : str
        File format, by a name that `exitwave formats` lists; ``"auto"``: detected from the content.
    confine : bool
        Whether links that lead outside the folder of the file are refused; otherwise they are reported (I310).
    **overrides : str
        Values that replace those of the file: ``energy="8.8keV"``, ``distance="2m"``, ``pixel_size="75um"``,
        ``positions="um"`` (their unit), ``mask="inverted"``, ``"as-is"`` or ``"none"``; values that the file format
        lacks; and, by ``**{...}``, ``"frames.shift"`` and ``"frames.leave_out"``, see
        `exitwave.cxi.frame_settings.with_frame_settings`.

    Returns
    -------
    Scan or Result
        In SI units; a Result if the file holds a reconstruction. ``findings`` of the scan lists what was decided or
        repaired.

    Raises
    ------
    InputError
        If the file cannot be used, with what to do about it.
    """
    with confining(confine):
        return read(path, overrides, dialect)


def read(file: str | Path, settings: Settings | None = None, name: str = "auto") -> Scan | Result:
    """Read a file of any known dialect. If the format allows it, the patterns stay in the file.

    Parameters
    ----------
    file : str or Path
        The file, or one of several that belong together. Never changed.
    settings : mapping of str to str, optional
        Values that replace those of the file, or that the file lacks; see `exitwave.cxi.read.OVERRIDES`,
        ``Dialect.settings`` and `exitwave.cxi.frame_settings.FRAME_SETTINGS`.
    name : str
        Name of the dialect; ``"auto"``: detected from the content.

    Returns
    -------
    Scan or Result
        In SI units. If the dialect is not ``seed``, the finding I307 gives its name and the reason.

    Raises
    ------
    InputError
        If the file cannot be read, no dialect fits, or several fit and their readings differ; where files are confined,
        also if a link leads outside the folder of the file.
    """
    path, chosen = Path(file), settings or {}
    if not path.exists():
        raise InputError("The file does not exist", where=path, remedy="Check the path")
    note_input(path)
    with collecting() as followed:
        data = _read(path, chosen, name)
    outside = sorted({str(each.resolve()) for each in followed if is_outside(each, path)})
    if not outside:
        return data
    if is_confined():
        remedy = "Put the linked file into the folder of this file, or open it without --confine"
        raise InputError("A link leads outside the folder of the file", where=path, found=outside[0], remedy=remedy)
    found = ", ".join(outside[:3]) + (f" and {len(outside) - 3} more" if len(outside) > 3 else "")
    note = finding("I310", "", f"links to {found}", "files in the folder of this file", "--confine refuses them")
    scan = scan_in(data)
    return with_scan(data, replace(scan, findings=(*scan.findings, note)))


def _read(path: Path, chosen: Settings, name: str) -> Scan | Result:
    """Read a file with a given dialect, or with the detected one."""
    if name != "auto":
        return _read_as(DIALECTS.get(name), path, chosen, "as requested")
    candidates = recognise(path)
    if not candidates:
        return _read_as(DIALECTS.get("seed"), path, chosen, "")  # its message names what is missing
    first, evidence = candidates[0]
    if len(candidates) == 1:
        return _read_as(first, path, chosen, evidence.reason)
    return _agreed(candidates, path, chosen)


def recognise(file: Path) -> list[tuple[Dialect, Evidence]]:
    """Return the dialects with the strongest evidence in a file, and that evidence.

    Raises
    ------
    InputError
        If an external link of the file leads to a pipe or a device.
    """
    check_linked_files(file)
    readable = [each for each in DIALECTS.all().values() if each.read]
    found = [(each, evidence) for each in readable if (evidence := _evidence(each, file))]
    best = max((evidence.strength for _, evidence in found), default=0)
    return [(each, evidence) for each, evidence in found if evidence.strength == best]


def _evidence(dialect: Dialect, file: Path) -> Evidence | None:
    try:
        return dialect.detect(file) if dialect.detect else None
    except (ExitwaveError, *DAMAGE):
        return None


def check(chosen: Dialect, file: Path) -> list[Finding]:
    """Return what the program of a dialect cannot read in a file, or reads wrongly; see `Dialect.check`.

    Raises
    ------
    InputError
        If the file cannot be opened or is damaged, or the dialect has no check.
    """
    if chosen.check is None:
        profiles = ", ".join(name for name, each in DIALECTS.all().items() if each.check)
        raise InputError("There is no profile of this name", found=chosen.name, remedy=f"Profiles: {profiles}")
    try:
        return chosen.check(file)
    except DAMAGE as error:
        raise damaged(file, error) from error


def _read_as(chosen: Dialect, file: Path, settings: Settings, reason: str) -> Scan | Result:
    if chosen.read is None:
        readable = ", ".join(name for name, each in DIALECTS.all().items() if each.read)
        raise InputError("This file format can only be written", found=chosen.name, remedy=f"Readable: {readable}")
    known = OVERRIDES | dict(chosen.settings) | FRAME_SETTINGS
    for key in settings:
        if key not in known:
            keys = (f"{name}={example}" for name, example in known.items())
            what = f"The file format {chosen.name} has no such setting"
            raise InputError(what, found=key, remedy=did_you_mean(key, keys))
    try:
        data = chosen.read(file, {key: value for key, value in settings.items() if key not in FRAME_SETTINGS})
    except DAMAGE as error:
        raise damaged(file, error) from error
    data = with_frame_settings(data, settings)
    if chosen.name == "seed":
        return data
    note = finding(
        "I307", "", f"file format {chosen.name}: {reason}", "a file after the schema", "--from NAME overrides"
    )
    scan = scan_in(data)
    return with_scan(data, replace(scan, findings=(note, *scan.findings)))


def _agreed(candidates: list[tuple[Dialect, Evidence]], file: Path, settings: Settings) -> Scan | Result:
    """Read a file as each of several dialects; return the first reading if the others are equal to it."""
    readings: list[tuple[Dialect, Evidence, Scan | Result]] = []
    failures: list[ExitwaveError] = []
    for each, evidence in candidates:
        try:
            readings.append((each, evidence, _read_as(each, file, settings, evidence.reason)))
        except ExitwaveError as error:
            failures.append(error)
    if not readings:
        raise failures[0]
    first, evidence, data = readings[0]
    for other, other_evidence, reading in readings[1:]:
        differing = differences(data, reading)
        if differing:
            raise InputError(
                "Two file formats fit this file, and they read it differently",
                where=file,
                found=f"{first.name}: {evidence.reason}; {other.name}: {other_evidence.reason}; "
                f"different: {', '.join(differing)}",
                remedy=f"Choose one: --from {first.name} or --from {other.name} (in Python: dialect=...)",
            )
    return data


def differences(one: Scan | Result, other: Scan | Result) -> list[str]:
    """Return the names of what differs between two readings; patterns are compared by shape and location only."""
    if isinstance(one, Result) != isinstance(other, Result):
        return ["the presence of a reconstruction"]
    a, b = (scan_in(each) for each in (one, other))
    pairs = {
        "the frames": (a.patterns.shape, b.patterns.shape),
        "the energy": (a.energy, b.energy),
        "the distance": (a.detector.distance, b.detector.distance),
        "the pixel size": (a.detector.pixel_size, b.detector.pixel_size),
        "the positions": (a.positions, b.positions),
        "the mask": (a.detector.mask, b.detector.mask),
        "the dark frame": (a.detector.dark, b.detector.dark),
        "the probe": (a.probe, b.probe),
    }
    if isinstance(one, Result) and isinstance(other, Result):
        pairs |= {"the object": (one.object, other.object), "the reconstructed probe": (one.probe, other.probe)}
    differing = [name for name, (first, second) in pairs.items() if not _same(first, second)]
    where = [(scan.patterns.path, scan.patterns.dataset) for scan in (a, b)]
    return ["the frames", *differing] if where[0] != where[1] and "the frames" not in differing else differing


def _same(first: object, second: object) -> bool:
    if first is None or second is None:
        return first is second
    one, other = np.asarray(first), np.asarray(second)
    if one.shape != other.shape:
        return False
    scale = float(np.abs(one.astype(complex)).max(initial=0))
    return bool((np.abs(one.astype(complex) - other.astype(complex)) <= SAME * scale).all())
