"""What a result keeps of the frames that it was made from, so that a later change of them is found."""

import copy
import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.frames.file_state import DIGEST_BYTES, FileState, sampled_state
from exitwave.frames.frames import ChangedFrames, Frames, ViewedFrames, open_hdf5
from exitwave.frames.linked import LinkedFrames


@dataclass(frozen=True, eq=False)
class InputRecord:
    """The files with the frames of a result, and the digests of the frames."""

    files: dict[Path, FileState] = field(default_factory=dict)
    """State of each file when its frames were read, by its absolute path."""
    frames: NDArray[np.uint8] | None = None
    """Digest of every frame as stored in the input, shape (npos, 16), see `values_digest`; None: not known.

    The digest of a frame that was not read is zero."""

    def changes(self) -> dict[Path, str]:
        """Return how files that still exist differ from their states, by path; empty if none does."""
        changes = {path: state.change(path) for path, state in self.files.items() if path.is_file()}
        return {path: change for path, change in changes.items() if change}


def values_digest(values: NDArray[Any]) -> bytes:
    """Return the digest of the type, the shape and the values of an array, in little-endian byte order."""
    array = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{array.dtype.str}{values.shape}".encode())
    digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.digest()[:DIGEST_BYTES]


class FrameRecorder:
    """Digests of the frames of a stack, computed on a thread while they are read; a context manager.

    Attributes
    ----------
    digests : ndarray of shape (npos, 16)
        The digests, complete after the end of the block; 0 for frames that were not read.
    """

    def __init__(self, patterns: Frames) -> None:
        self.patterns = patterns
        self.digests = np.zeros((len(patterns), DIGEST_BYTES), np.uint8)
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> "FrameRecorder":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def observed(self) -> Frames:
        """Return the patterns so that each frame that is read from the file is recorded; a view stays a view."""
        patterns = self.patterns
        if not isinstance(patterns, ViewedFrames):
            return _ObservedFrames(patterns, self)
        viewed = copy.copy(patterns)
        viewed.source = _ObservedFrames(patterns.source, self)
        return viewed

    def add(self, index: Any, frames: NDArray[Any]) -> None:
        """Record frames as stored, shape (n, ny, nx) or (ny, nx), at an index of the stack."""
        self._pool.submit(self._digest, np.atleast_1d(np.arange(len(self.digests))[index]), frames)

    def _digest(self, numbers: NDArray[np.int64], frames: NDArray[Any]) -> None:
        for number, frame in zip(numbers, frames.reshape(len(numbers), *frames.shape[-2:]), strict=True):
            self.digests[number] = np.frombuffer(values_digest(frame), np.uint8)


class _ObservedFrames(ChangedFrames):
    """Patterns that are recorded when they are read."""

    def __init__(self, source: Frames, recorder: FrameRecorder) -> None:
        super().__init__(source, np.asarray, (source.shape[1], source.shape[2]), source.dtype)
        self._recorder = recorder

    def _iterate(self, indices: Iterable[Any]) -> Iterator[NDArray[Any]]:
        wanted = list(indices)
        for index, frames in zip(wanted, self.source._iterate(wanted), strict=True):
            self._recorder.add(index, frames)
            yield frames


def is_recordable(patterns: Frames) -> bool:
    """Return whether the stored frames of a stack are those of datasets of files, or a view of them."""
    source = patterns.source if isinstance(patterns, ViewedFrames) else patterns
    if isinstance(source, LinkedFrames):
        return source.uniform
    return type(source) is Frames and source.path is not None


def source_files(patterns: Frames) -> tuple[Path, ...]:
    """Return the files with the stored frames of a stack, also those of a virtual dataset; empty if there are none."""
    source = patterns.source if isinstance(patterns, ViewedFrames) else patterns
    pieces = source.pieces if isinstance(source, LinkedFrames) else [source]
    files = [file for piece in pieces if piece.path for file in (piece.path, *_virtual_sources(piece))]
    return tuple(dict.fromkeys(file.resolve() for file in files))


def _virtual_sources(piece: Frames) -> list[Path]:
    assert piece.path is not None
    with open_hdf5(piece.path) as file:
        stored = file[piece.dataset]
        names = {each.file_name for each in stored.virtual_sources()} if stored.is_virtual else set()
    found = [piece.path.parent / name for name in sorted(names) if name != "." and "%" not in name]
    return [name for name in found if name.is_file()]


def sampled_states(patterns: Frames) -> dict[Path, FileState]:
    """Return the state of each file with the stored frames of a stack, with its sample."""
    return {path: sampled_state(path) for path in source_files(patterns)}
