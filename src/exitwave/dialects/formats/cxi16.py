"""``cxi16``: the official CXI 1.6 (cxidb.org/cxi.html): SI units everywhere, bit masks, named dimensions."""

from pathlib import Path

import h5py
import numpy as np

from exitwave.cxi.hdf import members
from exitwave.cxi.mask import INSIDE
from exitwave.cxi.schema import DATA, DETECTOR, ENTRY, OBJECT, path
from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength
from exitwave.dialects.tools.cxi_family import (
    AXES,
    amend_axes,
    amend_energy,
    amend_mask,
    default_basis,
    detect_with,
    image_layout,
    in_joules,
    read_cxi,
    replace_dataset,
    write_with,
)
from exitwave.dialects.tools.cxi_profile import Profile, check_with
from exitwave.errors import Finding
from exitwave.scan import Result, Scan, scan_in


def _evidence(file: h5py.File) -> Evidence | None:
    fits = path("entry") in file and in_joules(file)
    return Evidence(Strength.FITS, "a CXI entry with the energy in joules") if fits else None


def _read(file: Path, settings: Settings) -> Scan | Result:
    """Read a file; the object is the last complex image in real space, and other images are not used."""
    return read_cxi(file, settings, image_layout(file), normal=("I302",))


def _amend(file: h5py.File, data: Scan | Result) -> list[Finding]:
    """Change a file of the schema into one of CXI 1.6; return findings on what is lost."""
    scan = scan_in(data)
    amend_energy(file, scan)
    amend_axes(file)
    amend_mask(file, scan)
    replace_dataset(file, path("incident_wavelength"), scan.wavelength, "m")
    replace_dataset(file, path("basis_vectors"), default_basis(scan), "m")
    if isinstance(data, Result):
        _amend_image(file, data)
    return []


def _amend_image(file: h5py.File, result: Result) -> None:
    """Write CXI's description of an image: extent (width, height, depth), not shifted, dimensionality, support."""
    rows, columns = result.object.shape[-2:]
    py, px = result.object_pixel
    depth = 0.0 if result.z is None else float(np.ptp(result.z))
    replace_dataset(file, f"{OBJECT}/image_size", (columns * px, rows * py, depth), "m")
    replace_dataset(file, f"{OBJECT}/is_fft_shifted", np.int32(0))
    replace_dataset(file, f"{OBJECT}/dimensionality", np.int32(result.object.ndim))
    replace_dataset(file, path("object_mask"), np.where(result.mask > 0.5, INSIDE, 0).astype(np.uint32))


def _check(profile: Profile) -> None:
    """Check what the CXI validator checks, the entries that the specification requires, and SI units."""
    if profile.first("/cxi_version") is None:
        profile.add("E121", "/cxi_version", "nothing", "the version of CXI times 100")
    profile.require_frames(f"{DATA}/data")
    profile.require_frames(path("frames"))
    profile.require_joules(path("energy"))
    for key in ("distance", "x_pixel_size", "y_pixel_size", "corner_position"):
        profile.require_metres(path(key))
    profile.require_positions(("npos", 3), (3,), path("positions"))
    for group in (DATA, DETECTOR):
        _check_axes(profile, group)
    for name in _images(profile.file):
        profile.require("data", f"{ENTRY}/{name}/data")
        profile.require("the type of image: electron density, intensity, ...", f"{ENTRY}/{name}/data_type")
    profile.note_ignored("the probe (CXI has no entry for it)", path("illumination"))
    profile.note_ignored_extras()


def _check_axes(profile: Profile, group: str) -> None:
    """Require the positions in the group of the data if data@axes names them, because CXI expects them there."""
    data = profile.first(f"{group}/data")
    axes = "" if data is None else str(np.asarray(data.attrs.get("axes", b"")).astype(str))
    if "translation" in axes.split(":"):
        profile.require(f"the positions, which are named in data@axes = {AXES}", f"{group}/translation")


def _images(file: h5py.File) -> list[str]:
    """Return the names of the groups of images in the first entry."""
    return [name for name in members(file.get(ENTRY)) if name.startswith("image_")]


DIALECT = Dialect(
    name="cxi16",
    order=20,
    title="Official CXI 1.6 (cxidb.org)",
    conventions=Conventions(
        energy="source_1/energy, J",
        positions="(N, 3), x y z of the sample, m; + in pixels with the default basis_vectors",
        mask="uint32 bits; every bit except 0x1000 = bad",
        frames="(N, y, x), intensity, centred",
        probe="no entry in the format; Exitwave uses source_1/illumination",
        object="image_1/data (y, x), row 0 at the smallest y; bit 0x10000 of image_1/mask = covered",
    ),
    detect=detect_with("cxi16", _evidence),
    read=_read,
    write=write_with("cxi16", _amend),
    check=check_with("cxi16", _check),
)
