"""``cxi16``: the official CXI 1.6 (cxidb.org/cxi.html): SI units without exception, masks of bits, named dimensions."""

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


def _test(file: h5py.File) -> Evidence | None:
    fits = path("entry") in file and in_joules(file)
    return Evidence(Strength.FITS, "a CXI entry with the energy in joules") if fits else None


def _read(file: Path, settings: Settings) -> Scan | Result:
    """Read the last complex image of real space as the object; other images are left aside."""
    return read_cxi(file, settings, image_layout(file), normal=("I302",))


def _amend(file: h5py.File, data: Scan | Result) -> list[Finding]:
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
    """Write what CXI says of an image: its extent (width, height, depth), that it is not shifted, its support."""
    rows, columns = result.object.shape[-2:]
    py, px = result.object_pixel
    depth = 0.0 if result.z is None else float(np.ptp(result.z))
    replace_dataset(file, f"{OBJECT}/image_size", (columns * px, rows * py, depth), "m")
    replace_dataset(file, f"{OBJECT}/is_fft_shifted", np.int32(0))
    replace_dataset(file, f"{OBJECT}/dimensionality", np.int32(result.object.ndim))
    replace_dataset(file, path("object_mask"), np.where(result.mask > 0.5, INSIDE, 0).astype(np.uint32))


def _ask(profile: Profile) -> None:
    """Ask what the validator of CXI asks, what the text calls mandatory, and for SI units."""
    if profile.at("/cxi_version") is None:
        profile.say("E121", "/cxi_version", "nothing", "the version of CXI, times 100")
    profile.needs_frames(f"{DATA}/data")
    profile.needs_frames(path("frames"))
    profile.needs_joules(path("energy"))
    for key in ("distance", "x_pixel_size", "y_pixel_size", "corner_position"):
        profile.needs_metres(path(key))
    profile.needs_positions(("npos", 3), (3,), path("positions"))
    for place in (DATA, DETECTOR):
        _ask_axes(profile, place)
    for name in _images(profile.file):
        profile.needs("data", f"{ENTRY}/{name}/data")
        profile.needs("the kind of image: electron density, intensity ...", f"{ENTRY}/{name}/data_type")
    profile.ignores("the probe, for which CXI has no place", path("illumination"))
    profile.ignores_ours()


def _ask_axes(profile: Profile, group: str) -> None:
    """Ask for the scale of a named dimension in the group of the data, where CXI looks for it."""
    data = profile.at(f"{group}/data")
    axes = "" if data is None else str(np.asarray(data.attrs.get("axes", b"")).astype(str))
    if "translation" in axes.split(":"):
        profile.needs(f"the positions, which data@axes = {AXES} names", f"{group}/translation")


def _images(file: h5py.File) -> list[str]:
    return [name for name in members(file.get(ENTRY)) if name.startswith("image_")]


DIALECT = Dialect(
    name="cxi16",
    order=20,
    title="official CXI 1.6 (cxidb.org)",
    conventions=Conventions(
        energy="source_1/energy, J",
        positions="(N, 3), x y z of the sample, which with the default basis_vectors are + in pixels, m",
        mask="uint32 bits, all but 0x1000 bad",
        frames="(N, y, x), intensity, centred",
        probe="no place; Exitwave's source_1/illumination",
        object="image_1/data (y, x), row 0 at the smallest y; image_1/mask has bit 0x10000 inside",
    ),
    detect=detect_with("cxi16", _test),
    read=_read,
    write=write_with("cxi16", _amend),
    check=check_with("cxi16", _ask),
)
