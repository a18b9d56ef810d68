"""Bad pixels that are marked in the data: by their counts, or by the bits of a NeXus pixel_mask."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.mask import NEXUS_BAD
from exitwave.frames import Frames


def bad_pixel_value(dtype: np.dtype[Any]) -> int | None:
    """Return the count that marks a bad pixel: the largest value of an integer type, 2^bits - 1; None for floats."""
    return int(np.iinfo(dtype).max) if dtype.kind in "iu" else None


def pixels_always_at(frames: Frames, *counts: int | None) -> NDArray[np.bool_]:
    """Return the pixels, bool of shape (ny, nx), that have one of ``counts`` in the first, middle and last frame.

    The counts are compared as integers, because float32 cannot hold 2^32 - 1.
    """
    marks = [count for count in counts if count is not None]
    chosen = sorted({0, len(frames) // 2, len(frames) - 1})
    return np.asarray(np.all([np.isin(frame, marks) for frame in frames.pick(chosen)], axis=0))


def nexus_bad_pixels(bits: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the pixels that the bits of a NeXus pixel_mask mark as unusable."""
    return np.asarray((bits.astype(np.int64) & NEXUS_BAD) != 0)
