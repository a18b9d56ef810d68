"""The patterns of a scan: stacks of frames that are read from files when they are sliced, and views of them.

Stacks in several files are in `exitwave.frames.linked`, stacks with other axes in `exitwave.frames.reordered`.
"""

from exitwave.frames.damage import MOST_DAMAGED, no_measurement, unreadable_frames
from exitwave.frames.frames import (
    ChangedFrames,
    DerivedFrames,
    Frames,
    MissingFrames,
    ViewedFrames,
    marker,
    open_hdf5,
    valid_counts,
)
from exitwave.frames.view import View, binned_type

__all__ = [
    "MOST_DAMAGED",
    "ChangedFrames",
    "DerivedFrames",
    "Frames",
    "MissingFrames",
    "View",
    "ViewedFrames",
    "binned_type",
    "marker",
    "no_measurement",
    "open_hdf5",
    "unreadable_frames",
    "valid_counts",
]
