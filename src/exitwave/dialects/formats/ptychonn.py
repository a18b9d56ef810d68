"""``ptychonn``: patterns for PtychoNN in an NPZ archive; of a result also the object patches for training.

PtychoNN requires square frames of 32-bit floats without gaps, with a side that is a power of two. Frames are written
without cropping, because cropping changes the object pixel; ``exitwave prepare --crop`` crops them.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength, Written
from exitwave.dialects.tools.array_file import NpzArrays, existing_entries, is_zip, open_arrays
from exitwave.dialects.tools.contents import Contents, build, two_columns
from exitwave.dialects.tools.extra_entries import ExtraEntries, extra_entries, losses, unmet_requirements
from exitwave.dialects.tools.write_files import NPZ, OutputFile, with_prefix, write_files
from exitwave.errors import Finding
from exitwave.findings import finding
from exitwave.frames import ChangedFrames, DerivedFrames, Frames
from exitwave.positions.grid import split, to_pixels
from exitwave.scan import Result, Scan, scan_in

_OBJECT = "object"


def detect(file: Path) -> Evidence | None:
    """Accept an archive with reciprocal and position, which no other format has."""
    has = existing_entries(file, ("reciprocal", "position")) if is_zip(file) else set()
    return Evidence(Strength.MARK, "an archive with reciprocal and position") if len(has) == 2 else None


def read(file: Path, settings: Settings) -> Scan | Result:
    """Read the patterns with their positions; the object is read only if Exitwave added it to the patches."""
    with open_arrays(file) as array_file:
        extra, frames = ExtraEntries(array_file), array_file.frames("reciprocal")
        positions = two_columns(array_file, "position", array_file.array("position"))
        found = Contents(frames, positions[:, ::-1], "position", probe=extra.array("probe", kinds="c"))
        found.object = extra.array(_OBJECT, kinds="c")
        if found.object is None and "real" in array_file:
            patches, remedy = "patches of an object", "Reconstruct the scan to get the whole object"
            found.remarks.append(finding("I309", "real", patches, "an object", remedy))
        return build(found, extra, settings)


def write(data: Scan | Result, target: Path, overwrite: bool) -> Written:
    """Write reciprocal and position; of a result also the patches, as real."""
    scan = scan_in(data)
    convert = _ToFloat32()
    stacks: dict[str, Frames] = {
        "reciprocal": ChangedFrames(scan.patterns, convert, scan.patterns.shape[1:], np.dtype(np.float32))
    }
    extra = extra_entries(data, "ptychonn")
    if isinstance(data, Result):
        stacks["real"] = _Patches(data)
        extra[_OBJECT] = data.object
    arrays = {"position": data.positions[:, 1::-1]} | with_prefix(NpzArrays.prefix, extra)
    write_files([OutputFile(target, arrays, stacks)], scan, overwrite)
    remarks = _unmet(scan.patterns.shape[1:])
    if convert.largest_change:
        found = f"counts changed by up to {convert.largest_change:g}"
        remarks.append(finding("W208", "reciprocal", found, "counts up to 2^24", "Scale the counts down"))
    mask_remedy = "PtychoNN has no mask; interpolate these pixels before"
    return Written((target,), (*losses(data, "PtychoNN", mask_remedy), *remarks))


class _ToFloat32:
    """Convert counts to 32-bit floats, and record the largest change of a count if it is 1 or more."""

    largest_change = 0.0

    def __call__(self, counts: NDArray[Any]) -> NDArray[Any]:
        floats = counts.astype(np.float32)
        if counts.dtype != floats.dtype and counts.size:
            change = np.abs(floats.astype(np.float64) - np.rint(counts.astype(np.float64)))
            self.largest_change = max(self.largest_change, float(change.max(where=change >= 1, initial=0)))
        return floats


class _Patches(DerivedFrames):
    """The window of the object of each frame, shape (npos, ny, nx), to the nearest pixel."""

    def __init__(self, result: Result) -> None:
        self.path, self.dataset = None, ""
        self.shape, self.dtype = result.scan.patterns.shape, np.dtype(np.complex64)
        self.image = result.object if result.object.ndim == 2 else result.object.prod(axis=0)
        pixels = to_pixels(result.positions, result.y, result.x)
        self.corners = split(pixels, self.shape[1:])[0]

    def _iterate(self, indices: Iterable[Any]) -> Iterator[NDArray[Any]]:
        ny, nx = self.shape[1:]
        corners = np.clip(self.corners, 0, np.array(self.image.shape) - np.array([ny, nx]))
        for index in indices:
            windows = [self.image[top : top + ny, left : left + nx] for top, left in np.atleast_2d(corners[index])]
            yield np.array(windows) if isinstance(index, slice) else windows[0]


def _unmet(shape: tuple[int, int]) -> list[Finding]:
    """Return the requirements of PtychoNN that the frames do not meet (W253)."""
    ny, nx = shape
    frames, expected = f"frames of {ny} x {nx} pixels", "square frames with a side that is a power of two"
    remedy = "Crop the frames with exitwave prepare --crop"
    return unmet_requirements((ny != nx or bool(ny & (ny - 1)), frames, expected, remedy))


DIALECT = Dialect(
    name="ptychonn",
    order=190,
    title="Arrays for PtychoNN in an NPZ archive; of a result also the object patches for training",
    conventions=Conventions(
        positions="position (N, 2), y x of the probe, +, m",
        frames="reciprocal (N, y, x) float32, intensity, centred",
        object="real (N, y, x), the window of each frame, row 0 at the smallest y",
    ),
    detect=detect,
    read=read,
    write=write,
    settings={"energy": "8.8keV", "distance": "2m", "pixel_size": "75um"},
    suffix=NPZ,
)
