"""Write the patterns of a scan block by block, compressed on several threads, with the digests of every frame."""

import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.digests import FrameDigests, bytes_digest
from exitwave.cxi.schema import BY_KEY
from exitwave.engine.backends.device import usable_cores
from exitwave.errors import Finding
from exitwave.findings import finding
from exitwave.frames import marker
from exitwave.frames.input_record import values_digest
from exitwave.scan import Scan

BLOCK = 32 * 2**20
"""Bytes of patterns that are in memory at a time."""
EXACT = 2**24
"""Integers up to this are exact in float32."""
NO_COUNT = 2.0**32 - 1
"""Stored value of pixels without a measurement, which the detector marks by the largest value of an integer type."""
LEVEL = 4
"""Level of the compression; the default of h5py."""
GROUP = 16
"""Frames that a thread compresses at a time."""
MOST_THREADS = 4
"""Threads that compress."""


def write_frames(
    file: h5py.File, scan: Scan, check: Callable[[], None], progress: Callable[[int, int], None] | None = None
) -> tuple[FrameDigests, tuple[Finding, ...]]:
    """Write the patterns of a scan as float32.

    Parameters
    ----------
    file : h5py.File
        A new file.
    scan : Scan
        The scan.
    check : callable
        Raises OSError if writing has failed; called after each block.
    progress : callable, optional
        Called with the number of frames that are written, and their total number.

    Returns
    -------
    digests : FrameDigests
        The digests of every frame.
    findings : tuple of Finding
        W208 if counts of good pixels lost digits in float32.
    """
    entry, patterns = BY_KEY["frames"], scan.patterns
    ny, nx = patterns.shape[1:]
    dataset = file.create_dataset(
        entry.path,
        shape=patterns.shape,
        dtype=entry.dtype,
        chunks=(1, ny, nx),
        compression="gzip",
        compression_opts=LEVEL,
        shuffle=True,
        track_times=False,
    )
    digests = FrameDigests.empty(len(patterns))
    good, lost = scan.detector.always_good, 0.0
    threads = min(MOST_THREADS, len(usable_cores()))
    with ThreadPoolExecutor(threads) as pool:
        pack_all = map if threads == 1 else pool.map  # a pool costs time where there is one core
        for index, frames in patterns.blocks(max(1, BLOCK // patterns.bytes_per_frame)):
            with np.errstate(over="ignore"):
                stored = frames.astype(entry.dtype)
            if frames.dtype.kind in "iu":
                stored[frames >= marker(frames.dtype)] = NO_COUNT
            groups = [stored[start : start + GROUP] for start in range(0, len(stored), GROUP)]
            packed = (each for group in pack_all(_pack, groups) for each in group)
            for number, (chunk, values, bytes_) in enumerate(packed, index.start):
                digests.values[number], digests.stored[number] = values, bytes_
                dataset.id.write_direct_chunk((number, 0, 0), chunk)
            check()
            if progress:
                progress(index.stop, len(patterns))
            if frames.dtype != stored.dtype and frames.max(initial=0) > EXACT:
                lost = max(lost, _loss(frames, stored, good))
    if lost == 0:
        return digests, ()
    remark = f"counts changed by up to {lost:g}"
    remedy = "Scale the counts down, or mask these pixels"
    return digests, (finding("W208", entry.path, remark, f"counts up to {EXACT}", remedy),)


def _pack(frames: NDArray[np.float32]) -> list[tuple[bytes, NDArray[np.uint8], NDArray[np.uint8]]]:
    """Return frames as HDF5's filters shuffle and deflate store them, and the digests of values and of these bytes.

    zlib and hashlib work in parallel on several threads; the filters of HDF5 do not.
    """
    packed = []
    for frame in frames:
        shuffled = np.ascontiguousarray(frame).view(np.uint8).reshape(-1, frame.itemsize).T
        chunk = zlib.compress(shuffled.tobytes(), LEVEL)
        values, stored = np.frombuffer(values_digest(frame), np.uint8), np.frombuffer(bytes_digest(chunk), np.uint8)
        packed.append((chunk, values, stored))
    return packed


def _loss(frames: NDArray[Any], stored: NDArray[np.float32], good: NDArray[np.bool_]) -> float:
    """Return the largest change of rounded counts in good pixels."""
    before, after = np.rint(frames[:, good].astype(np.float64)), stored[:, good].astype(np.float64)
    with np.errstate(invalid="ignore"):
        change = np.abs(after - before)
    return float(change.max(initial=0, where=(change >= 1) & (before < marker(frames.dtype))))
