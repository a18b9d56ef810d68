"""The patterns of a scan: stacks of frames that are read only where they are sliced, and views of them.

`exitwave.frames.linked` and `exitwave.frames.reordered` hold the stacks for particular layouts of files.
"""

from exitwave.frames.frames import (
    ChangedFrames,
    DerivedFrames,
    Frames,
    MissingFrames,
    ViewedFrames,
    counted,
    marker,
    open_hdf5,
    unreadable_frames,
)
from exitwave.frames.view import View, binned_type

__all__ = [
    "ChangedFrames",
    "DerivedFrames",
    "Frames",
    "MissingFrames",
    "View",
    "ViewedFrames",
    "binned_type",
    "counted",
    "marker",
    "open_hdf5",
    "unreadable_frames",
]
