"""``ptychi``: the pair NAME_dp.hdf5 and NAME_para.hdf5 that pty-chi's examples and PtychoViT read.

The positions are written from the middle of the object, as pty-chi wants them by default (``SUPPORT``): position 0 is
pixel round(N / 2) - 1/2 of the object, counted to the middle (n - 1) / 2 of the probe.
"""

from pathlib import Path

import numpy as np

from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength, Written
from exitwave.dialects.tools.array_file import Hdf5Arrays, existing_entries, open_arrays
from exitwave.dialects.tools.contents import Contents, build
from exitwave.dialects.tools.extra_entries import ExtraEntries, extra_entries, losses, unmet_requirements
from exitwave.dialects.tools.product import (
    POSITIONS,
    missing_probe,
    object_of,
    origin_of,
    origin_pixel,
    product_entries,
)
from exitwave.dialects.tools.read_product import read_product
from exitwave.dialects.tools.write_files import OutputFile, with_prefix, write_files
from exitwave.errors import Finding, InputError
from exitwave.scan import Result, Scan, scan_in

ENDS = ("_dp", "_para")


def pair(file: Path) -> tuple[Path, Path]:
    """Return the two files of a pair, that of the frames first, by the name of either or by what they share."""
    suffix = file.suffix or ".hdf5"
    stem = file.stem
    for end in ENDS:
        stem = stem.removesuffix(end)
    frames, parameters = (file.with_name(f"{stem}{end}{suffix}") for end in ENDS)
    return frames, parameters


def both(file: Path) -> tuple[Path, Path]:
    """Return the two files of a pair, which must be there.

    Raises
    ------
    InputError
        If one is missing.
    """
    frames, parameters = pair(file)
    if not (frames.is_file() and parameters.is_file()):
        missing = parameters if frames.is_file() else frames
        remedy = f"Put it beside {file.name}"
        raise InputError("A file of the pair is missing", where=file, found=f"no {missing.name}", remedy=remedy)
    return frames, parameters


def detect(file: Path) -> Evidence | None:
    """Take a file of a pair: /dp in one, and positions of ptychodus in the other."""
    frames, parameters = pair(file)
    if file not in (frames, parameters) or "dp" not in existing_entries(frames, ("dp",)):
        return None
    if len(existing_entries(parameters, POSITIONS)) < len(POSITIONS):
        return None
    return Evidence(Strength.MARK, f"/dp in {frames.name}, {POSITIONS[0]} in {parameters.name}")


def read(file: Path, settings: Settings) -> Scan | Result:
    """Read a pair by the name of one of its files."""
    frames, parameters = both(file)
    with open_arrays(frames) as patterns, open_arrays(parameters) as array_file:
        extra = ExtraEntries(array_file)
        result = extra.notes.get("result")
        found = read_product(array_file, patterns.frames("dp"), result=result if isinstance(result, bool) else None)
        _place(found)
        _shift(found, extra.numbers("origin", 2) or (0.0, 0.0))
        return build(found, extra, settings)


def _place(found: Contents) -> None:
    """Put an object that has no centre where pty-chi has it by default, if all positions then lie on it."""
    if found.object is None or found.object.ndim < 2 or found.object_pixel is None or found.x is not None:
        return
    axes, shape = [], found.frames.shape[1:]
    for n, side, step, places in zip(
        found.object.shape[-2:], shape, found.object_pixel, found.positions.T[::-1], strict=True
    ):
        axis = (np.arange(n) - origin_pixel(n, side)) * step
        if n < 2 or not ((places >= axis[0]) & (places <= axis[-1])).all():
            return
        axes.append(axis)
    found.y, found.x = axes


def _shift(found: Contents, origin: tuple[float, ...]) -> None:
    """Count positions and object from the origin that was kept."""
    found.positions = found.positions + np.array(origin)
    if found.x is not None and found.y is not None:
        found.x, found.y = found.x + origin[0], found.y + origin[1]


def write(data: Scan | Result, target: Path, overwrite: bool) -> Written:
    """Write the pair of which the target is one, or of which it is what the names share."""
    scan = scan_in(data)
    frames, parameters = pair(target)
    _, x, y = object_of(data)
    origin = origin_of(x, y, scan.patterns.shape[1:])
    extra = with_prefix(Hdf5Arrays.prefix, extra_entries(data, "ptychi", ("probe", "errors"), origin=origin))
    files = OutputFile(frames, {}, {"dp": scan.patterns}), OutputFile(parameters, product_entries(data, origin) | extra)
    write_files(files, scan, overwrite)
    return Written((frames, parameters), (*losses(data, "pty-chi", _MASK), *_square(data), *missing_probe(data)))


_MASK = "Give pty-chi the valid_pixel_mask of Scan.to_ptychi()"


def _square(data: Scan | Result) -> list[Finding]:
    """Return what pty-chi's loaders take otherwise than it is."""
    (py, px), remedy = data.object_pixel, "Give pty-chi the arrays of Scan.to_ptychi()"
    ny, nx = scan_in(data).patterns.shape[1:]
    pixels, turned = f"object pixels of {py:g} m x {px:g} m", "which its fftshift turns by one pixel too many"
    return unmet_requirements(
        (abs(py / px - 1) > 1e-3, pixels, "square ones, for pixel_height_m counts alone", remedy),
        (bool(ny % 2 or nx % 2), f"frames of {ny} x {nx} pixels, {turned}", "even ones", remedy),
    )


DIALECT = Dialect(
    name="ptychi",
    order=70,
    title="The pair NAME_dp.hdf5, NAME_para.hdf5 of pty-chi's examples and PtychoViT",
    conventions=Conventions(
        energy="-, or the product's photon_energy_eV",
        positions="probe_position_x_m and _y_m (N,), + of the probe, m, from the object's middle",
        mask="-",
        frames="dp (N, y, x), intensity, centred",
        probe="probe (variation, mode, y, x), FFT not normalised",
        object="object (slice, y, x), row 0 at the smallest y",
    ),
    detect=detect,
    read=read,
    write=write,
    settings={"energy": "8.8keV", "distance": "2m"},
    suffix="_dp.hdf5",
)
