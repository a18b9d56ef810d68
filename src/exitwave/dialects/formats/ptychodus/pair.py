"""``ptychodus``: diffraction and product, a pair of HDF5 or of NPZ files; or both in a CXI file, `ptychodus_cxi`."""

from pathlib import Path

import numpy as np

from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength, Written
from exitwave.dialects.formats import ptychi
from exitwave.dialects.formats.ptychodus import cxi as ptychodus_cxi
from exitwave.dialects.formats.ptychodus.check import check
from exitwave.dialects.tools.array_file import ArrayFile, Hdf5Arrays, NpzArrays, existing_entries, open_arrays
from exitwave.dialects.tools.contents import build
from exitwave.dialects.tools.extra_entries import ExtraEntries, extra_entries, losses
from exitwave.dialects.tools.product import POSITIONS, archive_name, missing_probe, product_entries
from exitwave.dialects.tools.read_product import read_product
from exitwave.dialects.tools.write_files import NPZ, OutputFile, with_prefix, write_files
from exitwave.errors import InputError
from exitwave.scan import Result, Scan, scan_in

ROLES = ("diffraction", "product")
PIXEL = ("patterns@detector_pixel_height_m", "patterns@detector_pixel_width_m")
ENDS = (".h5", ".hdf5", NPZ)


def pair(file: Path) -> tuple[Path, Path]:
    """Return the two files of a pair, that of the frames first, by the name of either.

    The names differ by the words diffraction and product; a name without them is that of the frames, and the other
    ends with ``_product``.
    """
    stem = file.stem
    if "diffraction" in stem:
        return file, file.with_stem(stem.replace("diffraction", "product"))
    if stem.endswith("_product"):
        return file.with_stem(stem.removesuffix("_product")), file
    if "product" in stem:
        return file.with_stem(stem.replace("product", "diffraction")), file
    return file, file.with_stem(f"{stem}_product")


def detect(file: Path) -> Evidence | None:
    """Take a diffraction file, a product, or a CXI file with what ptychodus alone writes."""
    has = existing_entries(file, ("patterns", PIXEL[0], "indexes", POSITIONS[0], "probe_position_indexes"))
    if ptychodus_cxi.fits(file):
        return Evidence(Strength.MARK, "a group ptychodus, or a probe in image_1, in a CXI entry")
    if PIXEL[0] in has or {"patterns", "indexes"} <= has:
        return Evidence(Strength.MARK, "patterns with their pixel, or their indexes")
    if "patterns" in has:
        return Evidence(Strength.FITS, "patterns")
    if {POSITIONS[0], "probe_position_indexes"} <= has:
        strength = Strength.FITS if ptychi.detect(file) else Strength.MARK
        return Evidence(strength, "positions with their indexes")
    return None


def read(file: Path, settings: Settings) -> Scan | Result:
    """Read a pair by the name of one of its files, or a CXI file."""
    if ptychodus_cxi.fits(file):
        return ptychodus_cxi.read(file, settings)
    frames, parameters = _both(file, settings)
    with open_arrays(frames) as patterns, open_arrays(parameters) as array_file:
        extra = ExtraEntries(array_file)
        result = extra.notes.get("result")
        stack, given = patterns.frames("patterns"), patterns.array("indexes")
        found = read_product(array_file, stack, given, result if isinstance(result, bool) else None)
        bad = patterns.array("bad_pixels")
        found.bad, found.bad_at = None if bad is None else bad != 0, "bad_pixels"
        sizes = [patterns.number(name) for name in PIXEL]
        if isinstance(patterns, Hdf5Arrays) and None not in sizes:
            found.pixel_size = float(sizes[0] or 0), float(sizes[1] or 0)
        return build(found, extra, settings)


def _both(file: Path, settings: Settings) -> tuple[Path, Path]:
    """Return diffraction and product, of which a file is one; the other is given, or lies beside it."""
    own = 0 if "patterns" in existing_entries(file, ("patterns",)) else 1
    other = ROLES[1 - own]
    files = {ROLES[own]: file, other: Path(settings[other])} if other in settings else {}
    if not files:
        named = pair(file)[1 - own]
        named = next((each for end in ENDS if (each := named.with_suffix(end)).is_file()), named)
        files = {ROLES[own]: file, other: named}
    if not files[other].is_file():
        remedy = f"Give it with --set {other}={other}.h5"
        raise InputError(f"The {other} is missing", where=file, found=f"no {files[other]}", remedy=remedy)
    return files["diffraction"], files["product"]


def write(data: Scan | Result, target: Path, overwrite: bool) -> Written:
    """Write a pair of HDF5 or NPZ files, or a CXI file, by the end of the name."""
    scan = scan_in(data)
    findings = (*losses(data, "ptychodus"), *missing_probe(data))
    if target.suffix == ".cxi":
        write_files([ptychodus_cxi.file_of(data, target)], scan, overwrite)
        return Written((target,), findings)
    frames, parameters = pair(target)
    npz = target.suffix == NPZ
    own: type[ArrayFile] = NpzArrays if npz else Hdf5Arrays
    py, px = scan.detector.pixel_size
    entries = {"indexes": np.arange(len(scan.patterns)), "bad_pixels": ~scan.detector.always_good}
    pixels = {} if npz else {PIXEL[0]: py, PIXEL[1]: px}
    values = {archive_name(name) if npz else name: value for name, value in product_entries(data).items()}
    extra = with_prefix(own.prefix, extra_entries(data, "ptychodus", ("probe", "mask", "errors")))
    files = OutputFile(frames, entries | pixels, {"patterns": scan.patterns}), OutputFile(parameters, values | extra)
    write_files(files, scan, overwrite)
    return Written((frames, parameters), findings)


DIALECT = Dialect(
    name="ptychodus",
    order=80,
    title="Ptychodus: diffraction and product, HDF5 (.h5), NPZ (.npz) or both in CXI (.cxi)",
    conventions=Conventions(
        energy="photon_energy_eV, eV; CXI: source_1/energy, J",
        positions="probe_position_x_m and _y_m (N,), + of the probe, m, by index",
        mask="bad_pixels bool, 1 bad; CXI: uint32, not 0 bad",
        frames="patterns (N, y, x), intensity, centred",
        probe="probe, CXI image_1/data (variation, mode, y, x), FFT not normalised",
        object="object, CXI image_2/data (slice, y, x), row 0 at the smallest y",
    ),
    detect=detect,
    read=read,
    write=write,
    check=check,
    settings={"diffraction": "diffraction.h5", "product": "product.h5"},
    suffix=".h5",
)
