"""Settings of the user for some frames of a file: shifted along the positions, left out, or refused if damaged."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.schema import path
from exitwave.errors import InputError
from exitwave.findings import finding
from exitwave.scan import Decision, Result, Scan, scan_in, with_scan

SHIFT, LEAVE_OUT, DAMAGED = "frames.shift", "frames.leave_out", "frames.damaged"
FRAME_SETTINGS = {SHIFT: "1@50", LEAVE_OUT: "3,40:60", DAMAGED: "refuse"}
"""The settings for some frames, with an example of each; every file format has them."""
FRAME_HEADING = "frames"
"""Heading of the decision that records a shift in ``preparation`` of a scan."""
NO_POSITION, BY_USER = "no position after the shift", "left out by the user"
"""Reasons why frames are left out."""
FEWEST = 2
"""Smallest number of frames that must be left."""


class Shift(NamedTuple):
    """A change of the order of frames and positions: from frame ``start`` on, frame j has position j + ``by``."""

    by: int
    start: int

    def __str__(self) -> str:
        return f"{self.by}@{self.start}"


def with_frame_settings(data: Scan | Result, settings: Mapping[str, str]) -> Scan | Result:
    """Return a scan or result with frames that are shifted along the positions, and frames that are left out.

    Parameters
    ----------
    data : Scan or Result
        As it is in the file.
    settings : mapping of str to str
        ``frames.shift``: ``K@N``, or several of them with commas. From frame N on, frame j gets the position j + K of
        the file; several shifts add up. Frames that have no position then are left out. A shift that the file already
        contains is not repeated. ``frames.leave_out``: indices and ranges with commas, such as ``3,40:60``; the end of
        a range is excluded. ``frames.damaged``: ``leave-out``, the default, leaves out frames that cannot be read, if
        they are at most `exitwave.frames.MOST_DAMAGED` of all; ``refuse`` makes a single one an error. Other keys are
        ignored.

    Returns
    -------
    Scan or Result
        The shift is recorded in ``preparation`` of the scan, left-out frames in ``left_out``.

    Raises
    ------
    InputError
        If a setting cannot be read or is unknown, names frames that do not exist, contradicts a shift that the file
        already contains, or leaves fewer than two frames.
    """
    if SHIFT in settings:
        data = _shifted(data, parse_shifts(settings[SHIFT]))
    if LEAVE_OUT in settings:
        text = settings[LEAVE_OUT]
        data = _without(data, BY_USER, parse_frames(text, len(scan_in(data).patterns)))
        data = _remarked(data, "left_out", f"{LEAVE_OUT}={text}")
    if DAMAGED in settings:
        scan_in(data).patterns.damage.refused = _refuses_damage(settings[DAMAGED])
    changed = any(key in settings for key in (SHIFT, LEAVE_OUT))
    if changed and len(scan_in(data).used_frames) < FEWEST:
        found = f"{len(scan_in(data).used_frames)} frames are left"
        raise InputError("Too few frames are left", where="--set", found=found, remedy="Leave out fewer frames")
    return data


def _refuses_damage(text: str) -> bool:
    """Return whether the value of ``frames.damaged`` makes a frame that cannot be read an error."""
    if text not in ("refuse", "leave-out"):
        remedy = "Use refuse or leave-out"
        raise InputError("Unknown treatment of damaged frames", where=f"--set {DAMAGED}", found=text, remedy=remedy)
    return text == "refuse"


def parse_shifts(text: str) -> tuple[Shift, ...]:
    """Return the shifts that a text such as ``1@50,1@120`` lists.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    matches = [re.fullmatch(r"\s*([+-]?\d+)@(\d+)\s*", part) for part in text.split(",")]
    shifts = tuple(Shift(int(match[1]), int(match[2])) for match in matches if match is not None)
    if len(shifts) < len(matches) or any(shift.by == 0 for shift in shifts):
        remedy = "Write K@N, such as 1@50: from frame 50 on, each frame gets the position of the next frame"
        raise InputError("Not a shift of frames", where=f"--set {SHIFT}", found=repr(text), remedy=remedy)
    return shifts


def parse_frames(text: str, number: int) -> tuple[int, ...]:
    """Return the sorted indices of the frames that a text such as ``3,40:60`` lists, of a scan of ``number`` frames.

    Raises
    ------
    InputError
        If it cannot be read, or a frame does not exist.
    """
    where = f"--set {LEAVE_OUT}"
    matches = [re.fullmatch(r"\s*(\d+)(?::(\d+))?\s*", part) for part in text.split(",")]
    ranges = [range(int(m[1]), int(m[2] or int(m[1]) + 1)) for m in matches if m is not None]
    if len(ranges) < len(matches) or not all(ranges):
        remedy = "Write indices and ranges, such as 3,40:60 for frame 3 and frames 40 to 59"
        raise InputError("Not a list of frames", where=where, found=repr(text), remedy=remedy)
    last = max(each.stop for each in ranges) - 1
    if last >= number:
        _refuse_frame(where, last, number)
    return tuple(sorted({frame for each in ranges for frame in each}))


def format_frames(frames: NDArray[np.int64]) -> str:
    """Return sorted indices of frames as a text that `parse_frames` reads, such as ``3,40:60``."""
    runs = np.split(frames, 1 + np.flatnonzero(np.diff(frames) > 1))
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}:{run[-1] + 1}" for run in runs)


def shifts_of(scan: Scan) -> tuple[Shift, ...]:
    """Return the shifts that a scan already contains."""
    texts = [str(step.settings.get("shift", "")) for step in scan.preparation if step.heading == FRAME_HEADING]
    return tuple(shift for text in texts if text for shift in parse_shifts(text))


def _shifted(data: Scan | Result, shifts: tuple[Shift, ...]) -> Scan | Result:
    scan, text = scan_in(data), ",".join(map(str, shifts))
    number, known = len(scan.patterns), shifts_of(scan)
    if shifts[: len(known)] != known:
        remedy = f"Use the file of the scan, or begin with the shift it contains: {','.join(map(str, known))}"
        what = "The file contains another shift of its frames"
        raise InputError(what, where=scan.path or "", found=text, remedy=remedy)
    if max(shift.start for shift in shifts) >= number:
        _refuse_frame(f"--set {SHIFT}", max(shift.start for shift in shifts), number)
    new = shifts[len(known) :]
    if not new:
        return data
    source = np.arange(number)
    for shift in new:
        source[shift.start :] += shift.by
    inside = (source >= 0) & (source < number)
    source = np.where(inside, source, np.arange(number))
    done = ",".join(map(str, new))
    step = Decision(FRAME_HEADING, "shifted", {"shift": done}, f"set by the user: {SHIFT}={text}")
    scan = replace(scan, positions=scan.positions[source], preparation=(*scan.preparation, step))
    data = with_scan(data, scan)
    if isinstance(data, Result):
        data = replace(data, positions=data.positions[source])
    data = _without(data, NO_POSITION, tuple(np.flatnonzero(~inside).tolist()))
    return _remarked(data, "positions", f"{SHIFT}={text}")


def _without(data: Scan | Result, reason: str, frames: tuple[int, ...]) -> Scan | Result:
    """Return the data with frames left out for a reason, in addition to those that already are."""
    if not frames:
        return data
    scan = scan_in(data)
    together = sorted({*scan.left_out.get(reason, ()), *frames})
    data = with_scan(data, replace(scan, left_out=scan.left_out | {reason: tuple(together)}))
    if isinstance(data, Result):
        data = replace(data, held_out=np.setdiff1d(data.held_out, frames))
    return data


def _remarked(data: Scan | Result, entry: str, found: str) -> Scan | Result:
    """Return the data with a finding about a value that the user has set."""
    scan = scan_in(data)
    note = finding("I304", path(entry), found, "the frames as in the file", "The user has set it")
    return with_scan(data, replace(scan, findings=(*scan.findings, note)))


def _refuse_frame(where: str, frame: int, number: int) -> None:
    raise InputError(
        "The frame does not exist", where=where, found=f"frame {frame}", remedy=f"The frames are 0 to {number - 1}"
    )
