"""``cdtools``: CXI as cdtools reads and writes it, with the wavelength beside the energy and basis_vectors upright."""

import h5py
import numpy as np

from exitwave.cxi.schema import ALSO, DATA, DETECTOR, GEOMETRY, path
from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Strength
from exitwave.dialects.tools.cxi_family import (
    amend_axes,
    amend_energy,
    default_basis,
    detect_with,
    read_cxi,
    replace_dataset,
    replace_link,
    write_with,
)
from exitwave.dialects.tools.cxi_profile import Profile, check_with
from exitwave.errors import Finding
from exitwave.scan import Result, Scan, scan_in

EFFICIENCY = f"{DETECTOR}/qe_mask"
INTENSITIES = f"{DATA}/intensities"
BASIS = path("basis_vectors")


def _test(file: h5py.File) -> Evidence | None:
    vectors = file.get(BASIS)
    if isinstance(vectors, h5py.Dataset) and vectors.shape == (3, 2):
        return Evidence(Strength.MARK, "basis_vectors of shape (3, 2)")
    return Evidence(Strength.MARK, "a qe_mask") if EFFICIENCY in file else None


def _amend(file: h5py.File, data: Scan | Result) -> list[Finding]:
    scan = scan_in(data)
    amend_energy(file, scan)
    amend_axes(file)
    replace_dataset(file, path("mask"), (~scan.detector.always_good).astype(np.uint32))
    replace_dataset(file, BASIS, default_basis(scan).T, "m")
    if scan.detector.flat is not None:
        replace_link(file, EFFICIENCY, path("flat"))
    if scan.monitor is not None:
        replace_link(file, INTENSITIES, path("monitor"))
    return []


def _ask(profile: Profile) -> None:
    """Ask for what `Ptycho2DDataset.from_cxi` reads; it believes the wavelength first and looks at no unit."""
    profile.needs_frames(f"{DATA}/data", path("frames"))
    if profile.at(path("wavelength")) is None:
        profile.needs_joules(path("energy"))
    else:
        profile.needs_metres(path("wavelength"))
    profile.needs_metres(path("distance"), path("corner_position"))
    profile.needs_metres(BASIS, path("x_pixel_size"), path("y_pixel_size"))
    profile.needs_positions(("npos", 3), (3,), f"{DATA}/translation", path("positions"), path("detector_positions"))
    _ask_mask(profile)
    profile.ignores("the probe", *ALSO["illumination"])
    profile.ignores("the object", path("object"))
    if profile.at(EFFICIENCY) is None:
        profile.ignores("the flat field, which it reads as qe_mask", path("flat"))
    if profile.at(INTENSITIES, f"{GEOMETRY}/intensities") is None:
        profile.ignores("the beam monitor, which it reads as data_1/intensities", path("monitor"))
    profile.ignores_ours()


def _ask_mask(profile: Profile) -> None:
    """Remark on a mask for each frame: cdtools takes one."""
    mask, frames = profile.at(path("mask")), profile.at(f"{DATA}/data", path("frames"))
    if mask is not None and frames is not None and mask.shape != frames.shape[1:]:
        profile.say("E121", mask.name, f"shape {mask.shape}", f"one mask of shape {frames.shape[1:]}")


DIALECT = Dialect(
    name="cdtools",
    order=40,
    title="CXI of cdtools (Ptycho2DDataset.from_cxi, to_cxi)",
    conventions=Conventions(
        energy="source_1/wavelength, m, before source_1/energy, J",
        positions="(N, 3), x y z of the sample, which with basis_vectors (3, 2) are + in pixels, m",
        mask="uint32, 0 and exactly 0x1000 good",
        frames="(N, y, x), intensity, centred",
        probe="no place; Exitwave's source_1/illumination",
        object="no place; Exitwave's image_1/data",
    ),
    detect=detect_with("cdtools", _test),
    read=lambda file, settings: read_cxi(file, settings, normal=("I302",)),
    write=write_with("cdtools", _amend),
    check=check_with("cdtools", _ask),
)
