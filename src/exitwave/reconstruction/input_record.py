"""Record the frames of a run's inputs while they are loaded, and refuse inputs that change meanwhile."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.parallel.communicator import Communicator
from exitwave.frames import Frames, ViewedFrames
from exitwave.frames.file_state import FileState, changed_in_use
from exitwave.frames.input_record import FrameRecorder, InputRecord, is_recordable, sampled_states
from exitwave.frames.linked import LinkedFrames
from exitwave.reconstruction.joint import JointFrames
from exitwave.scan import Scan


@dataclass
class Recording:
    """The scan to load, and the records of its inputs."""

    scan: Scan
    """The scan, whose frames are recorded when they are read."""
    records: tuple[InputRecord, ...] = ()
    """One record for each scan of a joint reconstruction, else one; complete after the end of the block."""


@contextmanager
def recording(scan: Scan, communicator: Communicator) -> Iterator[Recording]:
    """Record the frames of a scan that are read in the block, in all processes.

    Raises
    ------
    InputError
        At the end of the block, if a file with frames has changed in the meantime.
    """
    joint = scan.patterns if isinstance(scan.patterns, JointFrames) else None
    stacks = [scan.patterns] if joint is None else [each.patterns for each in joint.scans]
    states = [sampled_states(each) if is_recordable(each) else {} for each in stacks]
    recorders = [FrameRecorder(each) if is_recordable(each) else None for each in stacks]
    observed = [
        each if recorder is None else recorder.observed() for each, recorder in zip(stacks, recorders, strict=True)
    ]
    patterns = observed[0] if joint is None else joint.with_patterns(observed)
    result = Recording(replace(scan, patterns=patterns))
    with ExitStack() as stack:
        for recorder in recorders:
            if recorder is not None:
                stack.enter_context(recorder)
        yield result
    for patterns, known in zip(stacks, states, strict=True):
        _require_unchanged(known)
        _keep_samples(patterns, known)
    result.records = tuple(
        InputRecord(known, _added_up(recorder, communicator)) for known, recorder in zip(states, recorders, strict=True)
    )


def _require_unchanged(states: dict[Path, FileState]) -> None:
    for path, state in states.items():
        if change := state.change(path):
            raise changed_in_use(path, change)


def _keep_samples(patterns: Frames, states: dict[Path, FileState]) -> None:
    """Give stacks the samples of their files, so that a mere change of a file's time is no error later."""
    source = patterns.source if isinstance(patterns, ViewedFrames) else patterns
    for piece in source.pieces if isinstance(source, LinkedFrames) else [source]:
        if piece.path is not None and piece.path.resolve() in states:
            piece.state = states[piece.path.resolve()]


def _added_up(recorder: FrameRecorder | None, communicator: Communicator) -> NDArray[np.uint8] | None:
    """Return the digests of all frames, each of which one process has read; 0 for frames that cannot be read."""
    if recorder is None:
        return None
    recorder.digests[recorder.patterns.damaged] = 0
    numbers = recorder.digests.view(np.int64).copy()
    communicator.add(numbers)
    return numbers.view(np.uint8)
