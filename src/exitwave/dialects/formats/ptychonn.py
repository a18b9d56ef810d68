"""``ptychonn``: frames for PtychoNN in an NPZ archive, and with a result the patches of the object that it learns from.

PtychoNN wants square frames whose side is a power of two, 32-bit floats without gaps. Frames are written as they are:
to crop them is a choice that changes the object pixel, so it is made before, with ``exitwave prepare --crop``.
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

_IMAGE = "object"


def detect(file: Path) -> Evidence | None:
    """Take an archive with reciprocal and position, which nobody else has."""
    has = existing_entries(file, ("reciprocal", "position")) if is_zip(file) else set()
    return Evidence(Strength.MARK, "an archive with reciprocal and position") if len(has) == 2 else None


def read(file: Path, settings: Settings) -> Scan | Result:
    """Read the frames with their positions; the patches are taken for pictures of the object that Exitwave kept."""
    with open_arrays(file) as array_file:
        extra = ExtraEntries(array_file)
        frames, positions = (
            array_file.frames("reciprocal"),
            two_columns(array_file, "position", array_file.array("position")),
        )
        archive = Contents(frames, positions[:, ::-1], "position", probe=extra.array("probe", kinds="c"))
        archive.object = extra.array(_IMAGE, kinds="c")
        if archive.object is None and "real" in array_file:
            seen, remedy = "patches of an object", "Reconstruct the scan to have the whole one"
            archive.remarks.append(finding("I309", "real", seen, "an object", remedy))
        return build(archive, extra, settings)


def write(data: Scan | Result, target: Path, overwrite: bool) -> Written:
    """Write reciprocal and position, and of a result the patches, as real."""
    scan = scan_in(data)
    change = _Change()
    frames: dict[str, Frames] = {
        "reciprocal": ChangedFrames(scan.patterns, change, scan.patterns.shape[1:], np.dtype(np.float32))
    }
    extra = extra_entries(data, "ptychonn")
    if isinstance(data, Result):
        frames["real"] = _Patches(data)
        extra[_IMAGE] = data.object
    entries_ = {"position": data.positions[:, 1::-1]} | with_prefix(NpzArrays.prefix, extra)
    write_files([OutputFile(target, entries_, frames)], scan, overwrite)
    remarks = _needs(scan.patterns.shape[1:])
    if change.largest:
        remark = f"counts changed by up to {change.largest:g}"
        remarks.append(finding("W208", "reciprocal", remark, "counts up to 2^24", "Scale the counts down"))
    return Written((target,), (*losses(data, "PtychoNN", "PtychoNN has no mask: fill them in before"), *remarks))


class _Change:
    """Counts as 32-bit floats, and how far these lie from whole counts at most."""

    largest = 0.0

    def __call__(self, counts: NDArray[Any]) -> NDArray[Any]:
        floats = counts.astype(np.float32)
        if counts.dtype != floats.dtype and counts.size:
            change = np.abs(floats.astype(np.float64) - np.rint(counts.astype(np.float64)))
            self.largest = max(self.largest, float(change.max(where=change >= 1, initial=0)))
        return floats


class _Patches(DerivedFrames):
    """The part of an object that the probe sees in every frame, shape (npos, ny, nx), to the nearest pixel."""

    def __init__(self, result: Result) -> None:
        self.path, self.dataset = None, ""
        self.shape, self.dtype = result.scan.patterns.shape, np.dtype(np.complex64)
        self.image = result.object if result.object.ndim == 2 else result.object.prod(axis=0)
        pixels = to_pixels(result.positions, result.y, result.x)
        self.corners = split(pixels, self.shape[1:])[0]

    def _each(self, indices: Iterable[Any]) -> Iterator[NDArray[Any]]:
        ny, nx = self.shape[1:]
        corners = np.clip(self.corners, 0, np.array(self.image.shape) - np.array([ny, nx]))
        for index in indices:
            seen = [self.image[top : top + ny, left : left + nx] for top, left in np.atleast_2d(corners[index])]
            yield np.array(seen) if isinstance(index, slice) else seen[0]


def _needs(shape: tuple[int, int]) -> list[Finding]:
    """Return what PtychoNN asks for and does not get."""
    ny, nx = shape
    seen, expected = f"frames of {ny} x {nx} pixels", "square ones, their side a power of two"
    remedy = "exitwave prepare --crop cuts them, and keeps the geometry"
    return unmet_requirements((ny != nx or bool(ny & (ny - 1)), seen, expected, remedy))


DIALECT = Dialect(
    name="ptychonn",
    order=190,
    title="Arrays for PtychoNN in an NPZ archive, to learn from where they are of a result",
    conventions=Conventions(
        positions="position (N, 2), y x of the probe, +, m",
        frames="reciprocal (N, y, x) float32, intensity, centred",
        object="real (N, y, x), the patch of each frame, row 0 at the smallest y",
    ),
    detect=detect,
    read=read,
    write=write,
    settings={"energy": "8.8keV", "distance": "2m", "pixel_size": "75um"},
    suffix=NPZ,
)
