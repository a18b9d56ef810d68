"""``tike``: an NPZ archive of the arrays that tike.ptycho takes, with the zero frequency at [0, 0]."""

from functools import partial
from pathlib import Path

import numpy as np

from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength, Written
from exitwave.dialects.tools.array_checks import without_single_slice
from exitwave.dialects.tools.array_file import NpzArrays, existing_entries, is_zip, open_arrays
from exitwave.dialects.tools.contents import Contents, build, two_columns
from exitwave.dialects.tools.extra_entries import (
    NOTES,
    ExtraEntries,
    extra_entries,
    losses,
    probe_of,
    unmet_requirements,
)
from exitwave.dialects.tools.product import object_of
from exitwave.dialects.tools.write_files import NPZ, OutputFile, with_prefix, write_files
from exitwave.errors import Finding, InputError
from exitwave.frames import ChangedFrames, Frames
from exitwave.positions.grid import to_pixels
from exitwave.scan import Result, Scan, scan_in

AXES = (-2, -1)
BORDER = 1
"""Pixels of the object that tike requires around the outermost windows."""


def detect(file: Path) -> Evidence | None:
    """Accept an archive with data and scan; notes that Exitwave wrote for tike make it certain."""
    if not is_zip(file) or not {"data", "scan"} <= existing_entries(file, ("data", "scan")):
        return None
    if dialect_of(file) == "tike":
        return Evidence(Strength.MARK, "an archive with data and scan, written for tike by Exitwave")
    return Evidence(Strength.FITS, "an archive with data and scan")


def dialect_of(file: Path) -> str:
    """Return the dialect in which Exitwave wrote an archive, or an empty string. Never raises."""
    if NpzArrays.prefix + NOTES not in existing_entries(file, (NpzArrays.prefix + NOTES,)):
        return ""
    try:
        with open_arrays(file) as array_file:
            return ExtraEntries(array_file).text("dialect")
    except InputError:
        return ""


def read(file: Path, settings: Settings) -> Scan | Result:
    """Read data, scan, measured_pixels, probe and psi."""
    with open_arrays(file) as array_file:
        extra = ExtraEntries(array_file)
        frames = shifted(array_file.frames("data"), back=True)
        corners, probe = array_file.array("scan"), array_file.array("probe")
        if corners is not None and corners.ndim == 3 and len(corners) == 1:  # older versions of tike
            corners = corners[0]
        pixels = two_columns(array_file, "scan", corners) + np.array(frames.shape[1:]) // 2
        good = array_file.array("measured_pixels")
        found = Contents(
            frames,
            pixels[:, ::-1],
            "scan",
            in_pixels=True,
            bad=None if good is None else np.fft.fftshift(good == 0) if good.ndim == 2 else good == 0,
            bad_at="measured_pixels",
            probe=None if probe is None or probe.ndim < 3 or not probe.size else probe[(0,) * (probe.ndim - 3)],
            program="tike",
        )
        psi = array_file.array("psi")
        if psi is not None and psi.size and extra.notes.get("result", bool((psi != psi.ravel()[0]).any())):
            found.object = without_single_slice(psi)
        return build(found, extra, settings)


def shifted(frames: Frames, back: bool = False) -> Frames:
    """Return frames with the zero frequency moved from n//2 to [0, 0], or with ``back`` from [0, 0] to n//2."""
    shift = partial(np.fft.fftshift if back else np.fft.ifftshift, axes=AXES)
    return ChangedFrames(frames, shift, frames.shape[1:], frames.dtype)


def write(data: Scan | Result, target: Path, overwrite: bool) -> Written:
    """Write data, scan, probe, psi and measured_pixels."""
    scan = scan_in(data)
    shape = scan.patterns.shape[1:]
    image, x, y = object_of(data)
    probe = probe_of(data)
    corners = to_pixels(data.positions, y, x) - np.array([shape[0] // 2, shape[1] // 2])
    arrays = {
        "scan": corners.astype(np.float32),
        "psi": image.reshape(-1, *image.shape[-2:]),
        "measured_pixels": np.fft.ifftshift(scan.detector.always_good, axes=AXES),
    }
    if probe is not None:
        arrays["probe"] = probe[None, None]
    extra = extra_entries(data, "tike", ("probe", "mask"), origin=(float(x[0]), float(y[0])))
    arrays |= with_prefix(NpzArrays.prefix, extra)
    write_files([OutputFile(target, arrays, {"data": shifted(scan.patterns)})], scan, overwrite)
    last_corner = np.array(image.shape[-2:]) - np.array(shape) - BORDER
    inside = bool((corners >= BORDER).all() and (np.floor(corners) <= last_corner).all())
    return Written((target,), (*losses(data, "tike"), *_unmet(shape, probe is not None, inside)))


def _unmet(shape: tuple[int, int], probe: bool, inside: bool) -> list[Finding]:
    """Return the requirements of tike that the data do not meet (W253)."""
    frames, border = f"frames of {shape[0]} x {shape[1]} pixels", f"a border of {BORDER} pixel around all windows"
    return unmet_requirements(
        (shape[0] != shape[1], frames, "square frames", "Crop the frames with exitwave prepare"),
        (not probe, "no probe", "a probe", "Set a starting probe"),
        (not inside, "positions at the edge of psi", border, "Pad psi"),
    )


DIALECT = Dialect(
    name="tike",
    order=170,
    title="Arrays of tike.ptycho in an NPZ archive",
    conventions=Conventions(
        energy="-",
        positions="scan (N, 2), row and column in psi of the first pixel of the probe, +, pixels",
        mask="measured_pixels bool, 1 = good",
        frames="data (N, y, x), intensity, zero frequency at [0, 0]",
        probe="probe (1, 1, mode, y, x)",
        object="psi (slice, y, x), row 0 at the smallest y",
    ),
    detect=detect,
    read=read,
    write=write,
    settings={"energy": "8.8keV", "distance": "2m", "pixel_size": "75um"},
    suffix=NPZ,
)
