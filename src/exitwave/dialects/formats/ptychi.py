"""``ptychi``: the pair NAME_dp.hdf5 and NAME_para.hdf5 that pty-chi's examples and PtychoViT read.

Positions are written relative to the middle of the object, as pty-chi expects by default (``SUPPORT``): at position 0
the middle (n - 1) / 2 of the probe is at pixel round(N / 2) - 1/2 of the object.
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
    """Return the two files of a pair, the patterns first; ``file`` is either of them or their common name."""
    suffix = file.suffix or ".hdf5"
    stem = file.stem
    for end in ENDS:
        stem = stem.removesuffix(end)
    frames, parameters = (file.with_name(f"{stem}{end}{suffix}") for end in ENDS)
    return frames, parameters


def existing_pair(file: Path) -> tuple[Path, Path]:
    """Return the two files of a pair, the patterns first.

    Raises
    ------
    InputError
        If one of them does not exist.
    """
    frames, parameters = pair(file)
    if not (frames.is_file() and parameters.is_file()):
        missing = parameters if frames.is_file() else frames
        remedy = f"Put it into the folder of {file.name}"
        raise InputError("A file of the pair is missing", where=file, found=f"no {missing.name}", remedy=remedy)
    return frames, parameters


def detect(file: Path) -> Evidence | None:
    """Accept a file of a pair: one holds /dp, the other the positions of a ptychodus product."""
    frames, parameters = pair(file)
    if file not in (frames, parameters) or "dp" not in existing_entries(frames, ("dp",)):
        return None
    if len(existing_entries(parameters, POSITIONS)) < len(POSITIONS):
        return None
    return Evidence(Strength.MARK, f"/dp in {frames.name}, {POSITIONS[0]} in {parameters.name}")


def read(file: Path, settings: Settings) -> Scan | Result:
    """Read a pair; ``file`` is either of its files."""
    frames, parameters = existing_pair(file)
    with open_arrays(frames) as patterns, open_arrays(parameters) as array_file:
        extra = ExtraEntries(array_file)
        found = read_product(extra, patterns.frames("dp"))
        _set_default_coordinates(found)
        _add_origin(found, extra.numbers("origin", 2) or (0.0, 0.0))
        return build(found, extra, settings)


def _set_default_coordinates(found: Contents) -> None:
    """Set the coordinates of an object without a centre to pty-chi's default, if all positions then lie on it."""
    if found.object is None or found.object.ndim < 2 or found.object_pixel is None or found.x is not None:
        return
    axes, shape = [], found.frames.shape[1:]
    for n, side, step, positions in zip(
        found.object.shape[-2:], shape, found.object_pixel, found.positions.T[::-1], strict=True
    ):
        axis = (np.arange(n) - origin_pixel(n, side)) * step
        if n < 2 or not ((positions >= axis[0]) & (positions <= axis[-1])).all():
            return
        axes.append(axis)
    found.y, found.x = axes


def _add_origin(found: Contents, origin: tuple[float, ...]) -> None:
    """Add the stored origin to the positions and to the coordinates of the object."""
    found.positions = found.positions + np.array(origin)
    if found.x is not None and found.y is not None:
        found.x, found.y = found.x + origin[0], found.y + origin[1]


def write(data: Scan | Result, target: Path, overwrite: bool) -> Written:
    """Write a pair; ``target`` is either of its files or their common name."""
    scan = scan_in(data)
    frames, parameters = pair(target)
    _, x, y = object_of(data)
    origin = origin_of(x, y, scan.patterns.shape[1:])
    extra = with_prefix(Hdf5Arrays.prefix, extra_entries(data, "ptychi", ("probe", "errors"), origin=origin))
    files = OutputFile(frames, {}, {"dp": scan.patterns}), OutputFile(parameters, product_entries(data, origin) | extra)
    write_files(files, scan, overwrite)
    findings = (*losses(data, "pty-chi", _MASK_REMEDY), *_unmet_assumptions(data), *missing_probe(data))
    return Written((frames, parameters), findings)


_MASK_REMEDY = "Pass valid_pixel_mask of exitwave.to_ptychi(scan) to pty-chi"


def _unmet_assumptions(data: Scan | Result) -> list[Finding]:
    """Return the assumptions of pty-chi's loaders that the data do not fulfil (W253)."""
    (py, px), remedy = data.object_pixel, "Pass the arrays of exitwave.to_ptychi(scan) to pty-chi"
    ny, nx = scan_in(data).patterns.shape[1:]
    pixels, odd = f"object pixels of {py:g} m x {px:g} m", "which pty-chi's fftshift shifts by one pixel too many"
    return unmet_requirements(
        (abs(py / px - 1) > 1e-3, pixels, "square pixels (pty-chi reads only pixel_height_m)", remedy),
        (bool(ny % 2 or nx % 2), f"frames of {ny} x {nx} pixels, {odd}", "even numbers of pixels", remedy),
    )


DIALECT = Dialect(
    name="ptychi",
    order=70,
    title="Pair NAME_dp.hdf5, NAME_para.hdf5 of pty-chi's examples and PtychoViT",
    conventions=Conventions(
        energy="-, or photon_energy_eV as in a ptychodus product, eV",
        positions="probe_position_x_m and _y_m (N,), of the probe, relative to the middle of the object, +, m",
        mask="-",
        frames="dp (N, y, x), intensity, centred",
        probe="probe (OPR mode, mode, y, x), FFT not normalised",
        object="object (slice, y, x), row 0 at the smallest y",
    ),
    detect=detect,
    read=read,
    write=write,
    settings={"energy": "8.8keV", "distance": "2m"},
    suffix="_dp.hdf5",
)
