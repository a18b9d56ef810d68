"""The record of a result's input in a file, and what is done where the input has changed since."""

import json
import os
from pathlib import Path

import numpy as np

from exitwave.cxi.hdf import Source, text, whole
from exitwave.errors import DAMAGE, InputError
from exitwave.frames.confine import is_confined, is_outside
from exitwave.frames.file_state import DIGEST_BYTES, FileState
from exitwave.frames.input_record import InputRecord
from exitwave.scan import Result, Scan, scan_in

CHANGED = "W262"
"""Code of the finding on a changed input."""


def read_record(source: Source) -> InputRecord:
    """Return the record of the linked patterns of a result, and add W262 if a file with patterns has changed since.

    If the record is missing or cannot be read, it is empty.
    """
    folder = Path(source.file.filename).resolve().parent
    try:
        stored = json.loads(text(source.dataset("input_files")) or "{}")
        files = {Path(os.path.normpath(folder / name)): FileState(**state) for name, state in stored.items()}
        if is_confined():
            files = {file: state for file, state in files.items() if not is_outside(file, Path(source.file.filename))}
        digests = source.dataset("input_frames")
        frames = None if digests is None else np.asarray(whole(digests), np.uint8)
        if frames is not None and (frames.ndim != 2 or frames.shape[1] != DIGEST_BYTES):
            frames = None
    except (InputError, AttributeError, *DAMAGE) as error:
        remedy = "Changes of the frames cannot be noticed; exitwave verify tells whether the file is damaged"
        source.remark("W261", "input_files", " ".join(str(error).split())[:200], "a text that can be read", remedy)
        return InputRecord()
    record = InputRecord(files, frames)
    for file, change in record.changes().items():
        remedy = "Put the original file back, or reconstruct again; exitwave verify lists the frames that differ"
        source.remark(CHANGED, "frames", f"{file}: {change}", "the input file of the result, unchanged", remedy)
    return record


def require_unchanged_input(data: Scan | Result, path: Path, allowed: bool) -> None:
    """Raise InputError if the input of a result has changed since the reconstruction, unless this is allowed.

    Parameters
    ----------
    data : Scan or Result
        What was opened.
    path : Path
        Its file, for the message.
    allowed : bool
        The value of the option ``--changed-input``.
    """
    changes = [finding.found for finding in scan_in(data).findings if finding.code == CHANGED]
    if isinstance(data, Result) and changes and not allowed:
        remedy = "Put the original file back, or use the file as it is now with --changed-input"
        what = "The input of this result has changed since the reconstruction"
        raise InputError(what, where=path, found="; ".join(changes), remedy=remedy)
