"""Whose file is this? Decided from its content, with the reason; not guessed where two readings would differ."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from exitwave.cxi.read import OVERRIDES
from exitwave.dialects.dialect import Dialect, Evidence, Settings
from exitwave.dialects.registry import dialect, known
from exitwave.errors import DAMAGE, ExitwaveError, Finding, InputError, damaged, did_you_mean
from exitwave.findings import finding
from exitwave.scan import Result, Scan, scan_in, with_scan

SAME = 1e-9
"""Relative difference up to which two readings of a number are one."""


def read(file: str | Path, settings: Settings | None = None, name: str = "auto") -> Scan | Result:
    """Read a file of any known dialect. The frames are not read where the format allows it.

    Parameters
    ----------
    file : str or Path
        The file, or one of several that belong together. Never changed.
    settings : mapping of str to str, optional
        What to believe instead of the file, or what it lacks; see `exitwave.cxi.read.OVERRIDES` and
        ``Dialect.settings``.
    name : str
        Name of the dialect; ``"auto"``: told from the content.

    Returns
    -------
    Scan or Result
        In SI units. Where the dialect is not ``seed``, a finding I307 says which it is and why.

    Raises
    ------
    InputError
        If the file cannot be read, no dialect fits it, or several do and their readings would differ.
    """
    place, chosen = Path(file), settings or {}
    if not place.exists():
        raise InputError("There is no such file", found=place, remedy="Check the path")
    if name != "auto":
        return _read_as(dialect(name), place, chosen, "as you asked")
    candidates = recognise(place)
    if not candidates:
        return _read_as(dialect("seed"), place, chosen, "")  # whose message says what the file lacks
    first, evidence = candidates[0]
    if len(candidates) == 1:
        return _read_as(first, place, chosen, evidence.reason)
    return _agreed(candidates, place, chosen)


def recognise(file: Path) -> list[tuple[Dialect, Evidence]]:
    """Return the dialects for which the evidence in a file is strongest, with that evidence."""
    seen = [(each, evidence) for each in known().values() if each.read and (evidence := _evidence(each, file))]
    best = max((evidence.strength for _, evidence in seen), default=0)
    return [(each, evidence) for each, evidence in seen if evidence.strength == best]


def _evidence(each: Dialect, file: Path) -> Evidence | None:
    try:
        return each.detect(file) if each.detect else None
    except (ExitwaveError, *DAMAGE):
        return None


def check(chosen: Dialect, file: Path) -> list[Finding]:
    """Return what the program of a dialect would say about a file, see `Dialect.check`.

    Raises
    ------
    InputError
        If the file cannot be opened or is damaged, or the dialect has no check.
    """
    if chosen.check is None:
        profiles = ", ".join(name for name, each in known().items() if each.check)
        raise InputError("There is no profile of this name", found=chosen.name, remedy=f"Profiles: {profiles}")
    try:
        return chosen.check(file)
    except DAMAGE as error:
        raise damaged(file, error) from error


def _read_as(chosen: Dialect, file: Path, settings: Settings, reason: str) -> Scan | Result:
    if chosen.read is None:
        readable = ", ".join(name for name, each in known().items() if each.read)
        raise InputError("Files of this dialect are only written", found=chosen.name, remedy=f"Readable: {readable}")
    for key in settings:
        if key not in OVERRIDES and key not in chosen.settings:
            keys = (f"{name}={example}" for name, example in (OVERRIDES | dict(chosen.settings)).items())
            what = f"There is nothing of this name to set in a file of {chosen.name}"
            raise InputError(what, found=key, remedy=did_you_mean(key, keys))
    try:
        data = chosen.read(file, settings)
    except DAMAGE as error:
        raise damaged(file, error) from error
    if chosen.name == "seed":
        return data
    note = finding("I307", "", f"a file of {chosen.name}: {reason}", "a file after the schema", "--from NAME overrides")
    scan = scan_in(data)
    return with_scan(data, replace(scan, findings=(note, *scan.findings)))


def _agreed(candidates: list[tuple[Dialect, Evidence]], file: Path, settings: Settings) -> Scan | Result:
    """Read a file as each of several dialects; return the first reading where none of the others differs."""
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
    for other, reason, reading in readings[1:]:
        differing = differences(data, reading)
        if differing:
            raise InputError(
                "The file can be read in two ways that differ",
                where=file,
                found=f"{first.name} ({evidence.reason}) and {other.name} ({reason.reason}) disagree about "
                f"{', '.join(differing)}",
                remedy=f"Say which it is: --from {first.name} or --from {other.name} (in Python: dialect=...)",
            )
    return data


def differences(one: Scan | Result, other: Scan | Result) -> list[str]:
    """Return the names of what two readings disagree about; the frames by shape and place only."""
    if isinstance(one, Result) != isinstance(other, Result):
        return ["whether it holds a reconstruction"]
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
