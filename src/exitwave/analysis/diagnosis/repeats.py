"""Repeated frames: frames that are identical to an earlier one, as from a detector that has stopped."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.analysis.diagnosis.codes import Diagnosis, make_diagnosis
from exitwave.analysis.diagnosis.frame_sample import FrameSample
from exitwave.analysis.frame_accounting import format_ranges
from exitwave.cxi.frame_settings import LEAVE_OUT, format_frames
from exitwave.frames import valid_counts

COUNTS = 30.0
"""Counts from which on two frames cannot be identical by chance."""
MANY, IN_A_ROW = 0.02, 3
"""Share of repeated frames, and number of consecutive ones, from which on the image is wrong and not only degraded."""
FOLLOWED = 2000
"""Largest number of frames that are read beside the sample to find the end of a repetition."""


def diagnose_repeats(sample: FrameSample, repeats: NDArray[np.int64]) -> Iterator[Diagnosis]:
    """Yield the diagnosis of repeated frames, which `find_repeats` has found, if there are any."""
    if not len(repeats):
        return
    longest = max(len(run) for run in np.split(repeats, 1 + np.flatnonzero(np.diff(repeats) > 1)))
    serious = len(repeats) > MANY * sample.of or longest >= IN_A_ROW
    least = "" if sample.whole else "At least "
    evidence = (
        f"{least}{len(repeats)} of {sample.of} frames are identical to an earlier frame: {format_ranges(repeats)}."
    )
    remedy = f"Reconstruct the scan with --set {LEAVE_OUT}={format_frames(repeats)} to leave them out."
    yield replace(make_diagnosis("D420", len(repeats), evidence, None if serious else "warning"), remedy=remedy)


def find_repeats(sample: FrameSample) -> NDArray[np.int64]:
    """Return the sorted indices of used frames that are identical to an earlier frame.

    If the sample does not hold all frames, the frame after each one is read as well, and where a repetition is found,
    the frames around it.
    """
    digests = {int(frame): _digest(counts) for frame, counts in zip(sample.frames, sample.patterns, strict=True)}
    if not sample.whole:
        used = sample.scan.used_frames
        after = np.searchsorted(used, sample.frames, side="right")
        _read(sample, used[after[after < len(used)]], digests)
        _follow(sample, used, digests)
    first: dict[bytes, int] = {}
    known = sorted((frame, digest) for frame, digest in digests.items() if digest is not None)
    return np.array([frame for frame, digest in known if first.setdefault(digest, frame) != frame], np.int64)


def _follow(sample: FrameSample, used: NDArray[np.int64], digests: dict[int, bytes | None]) -> None:
    """Read the frames next to repeated ones until they differ."""
    read = 0
    while read < FOLLOWED:
        count: dict[bytes | None, int] = {}
        for digest in digests.values():
            count[digest] = count.get(digest, 0) + 1
        repeated = [frame for frame, digest in digests.items() if digest is not None and count[digest] > 1]
        place = np.searchsorted(used, repeated)
        around = used[np.unique(np.clip(np.concatenate([place - 1, place + 1]), 0, len(used) - 1))]
        new = np.array([frame for frame in around if int(frame) not in digests], np.int64)
        if not len(new):
            return
        _read(sample, new, digests)
        read += len(new)


def _read(sample: FrameSample, frames: NDArray[np.int64], digests: dict[int, bytes | None]) -> None:
    """Add the digests of frames that are not known yet."""
    new = [int(frame) for frame in frames if int(frame) not in digests]
    for frame, counts in zip(new, sample.scan.patterns.pick(new), strict=True):
        digests[frame] = _digest(np.where(valid_counts(counts), counts, 0).astype(np.float32))


def _digest(counts: NDArray[Any]) -> bytes | None:
    """Return a digest of a frame of float32, shape (ny, nx); None if it has fewer than `COUNTS` counts."""
    return blake2b(counts.tobytes(), digest_size=16).digest() if counts.sum() >= COUNTS else None
