"""``ptychodus``: patterns and product, in a pair of HDF5 or NPZ files or in one CXI file (module ``cxi``)."""

from pathlib import Path

import numpy as np

from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength, Written
from exitwave.dialects.formats import ptychi
from exitwave.dialects.formats.ptychodus import cxi as ptychodus_cxi
from exitwave.dialects.formats.ptychodus.check import check
from exitwave.dialects.tools.array_file import Hdf5Arrays, NpzArrays, existing_entries, open_arrays
from exitwave.dialects.tools.contents import build
from exitwave.dialects.tools.extra_entries import ExtraEntries, extra_entries, losses
from exitwave.dialects.tools.product import POSITIONS, archive_name, missing_probe, product_entries
from exitwave.dialects.tools.read_product import read_product, two_numbers
from exitwave.dialects.tools.write_files import NPZ, OutputFile, with_prefix, write_files
from exitwave.errors import InputError
from exitwave.scan import Result, Scan, scan_in

ROLES = ("diffraction", "product")
PIXEL = ("patterns@detector_pixel_height_m", "patterns@detector_pixel_width_m")
SUFFIXES = (".h5", ".hdf5", NPZ)


def pair(file: Path) -> tuple[Path, Path]:
    """Return the two files of a pair, the patterns first; ``file`` is either of them.

    The names differ by the words diffraction and product. A name without these words is that of the patterns; the name
    of the product then ends in ``_product``.
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
    """Accept a diffraction file, a product, or a CXI file with entries that only ptychodus writes."""
    has = existing_entries(file, ("patterns", PIXEL[0], "indexes", POSITIONS[0], "probe_position_indexes"))
    if ptychodus_cxi.fits(file):
        return Evidence(Strength.MARK, "a CXI entry with a group ptychodus or with a probe in image_1")
    if PIXEL[0] in has or {"patterns", "indexes"} <= has:
        return Evidence(Strength.MARK, "patterns with a pixel size or with indexes")
    if "patterns" in has:
        return Evidence(Strength.FITS, "patterns")
    if {POSITIONS[0], "probe_position_indexes"} <= has:
        strength = Strength.FITS if ptychi.detect(file) else Strength.MARK
        return Evidence(strength, "positions with indexes")
    return None


def read(file: Path, settings: Settings) -> Scan | Result:
    """Read a pair, of which ``file`` is one, or a CXI file."""
    if ptychodus_cxi.fits(file):
        return ptychodus_cxi.read(file, settings)
    diffraction, parameters = _both_files(file, settings)
    with open_arrays(diffraction) as source, open_arrays(parameters) as array_file:
        extra = ExtraEntries(array_file)
        found = read_product(extra, source.frames("patterns"), source.array("indexes"))
        bad = source.array("bad_pixels")
        found.bad, found.bad_at = None if bad is None else bad != 0, "bad_pixels"
        found.pixel_size = two_numbers(source, PIXEL)
        return build(found, extra, settings)


def _both_files(file: Path, settings: Settings) -> tuple[Path, Path]:
    """Return diffraction file and product; ``file`` is one, and the other is set by the user or found by its name."""
    own = 0 if "patterns" in existing_entries(file, ("patterns",)) else 1
    other = ROLES[1 - own]
    files = {ROLES[own]: file, other: Path(settings[other])} if other in settings else {}
    if not files:
        by_name = pair(file)[1 - own]
        candidates = (by_name.with_suffix(suffix) for suffix in SUFFIXES)
        files = {ROLES[own]: file, other: next(filter(Path.is_file, candidates), by_name)}
    if not files[other].is_file():
        remedy = f"Give it with --set {other}={other}.h5"
        raise InputError(f"The {other} file is missing", where=file, found=f"no {files[other]}", remedy=remedy)
    return files["diffraction"], files["product"]


def write(data: Scan | Result, target: Path, overwrite: bool) -> Written:
    """Write a CXI file or a pair of HDF5 or NPZ files, depending on the suffix of ``target``."""
    scan = scan_in(data)
    findings = (*losses(data, "ptychodus"), *missing_probe(data))
    if target.suffix == ".cxi":
        write_files([ptychodus_cxi.file_of(data, target)], scan, overwrite)
        return Written((target,), findings)
    frames, parameters = pair(target)
    npz = target.suffix == NPZ
    prefix = NpzArrays.prefix if npz else Hdf5Arrays.prefix
    py, px = scan.detector.pixel_size
    entries = {"indexes": np.arange(len(scan.patterns)), "bad_pixels": ~scan.detector.always_good}
    pixels = {} if npz else {PIXEL[0]: py, PIXEL[1]: px}
    values = {archive_name(name) if npz else name: value for name, value in product_entries(data).items()}
    extra = with_prefix(prefix, extra_entries(data, "ptychodus", ("probe", "mask", "errors")))
    files = OutputFile(frames, entries | pixels, {"patterns": scan.patterns}), OutputFile(parameters, values | extra)
    write_files(files, scan, overwrite)
    return Written((frames, parameters), findings)


DIALECT = Dialect(
    name="ptychodus",
    order=80,
    title="Ptychodus: diffraction and product as HDF5 (.h5) or NPZ (.npz), or both in one CXI file (.cxi)",
    conventions=Conventions(
        energy="photon_energy_eV, eV; CXI: source_1/energy, J",
        positions="probe_position_x_m and _y_m (N,), of the probe, matched with frames by index, +, m",
        mask="bad_pixels bool, 1 = bad; CXI: uint32, nonzero = bad",
        frames="patterns (N, y, x), intensity, centred",
        probe="probe; CXI: image_1/data (OPR mode, mode, y, x), FFT not normalised",
        object="object; CXI: image_2/data (slice, y, x), row 0 at the smallest y",
    ),
    detect=detect,
    read=read,
    write=write,
    check=check,
    settings={"diffraction": "diffraction.h5", "product": "product.h5"},
    suffix=".h5",
)
