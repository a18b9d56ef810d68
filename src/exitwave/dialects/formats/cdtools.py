"""``cdtools``: CXI as cdtools reads and writes it, with the wavelength and with basis_vectors of shape (3, 2)."""

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


def _evidence(file: h5py.File) -> Evidence | None:
    vectors = file.get(BASIS)
    if isinstance(vectors, h5py.Dataset) and vectors.shape == (3, 2):
        return Evidence(Strength.MARK, "basis_vectors of shape (3, 2)")
    return Evidence(Strength.MARK, "detector_1/qe_mask") if EFFICIENCY in file else None


def _amend(file: h5py.File, data: Scan | Result) -> list[Finding]:
    """Change a file of the schema into one of cdtools; return findings on what is lost."""
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


def _check(profile: Profile) -> None:
    """Check the entries that `Ptycho2DDataset.from_cxi` reads; it prefers the wavelength and ignores units."""
    profile.require_frames(f"{DATA}/data", path("frames"))
    if profile.first(path("wavelength")) is None:
        profile.require_joules(path("energy"))
    else:
        profile.require_metres(path("wavelength"))
    profile.require_metres(path("distance"), path("corner_position"))
    profile.require_metres(BASIS, path("x_pixel_size"), path("y_pixel_size"))
    profile.require_positions(("npos", 3), (3,), f"{DATA}/translation", path("positions"), path("detector_positions"))
    _check_mask(profile)
    profile.note_ignored("the probe", *ALSO["illumination"])
    profile.note_ignored("the object", path("object"))
    if profile.first(EFFICIENCY) is None:
        profile.note_ignored("the flat field (cdtools reads detector_1/qe_mask)", path("flat"))
    if profile.first(INTENSITIES, f"{GEOMETRY}/intensities") is None:
        profile.note_ignored("the beam monitor (cdtools reads data_1/intensities)", path("monitor"))
    profile.note_ignored_extras()


def _check_mask(profile: Profile) -> None:
    """Require one mask for all frames, because cdtools does not support a mask for each frame."""
    mask, frames = profile.first(path("mask")), profile.first(f"{DATA}/data", path("frames"))
    if mask is not None and frames is not None and mask.shape != frames.shape[1:]:
        profile.add("E121", mask.name, f"shape {mask.shape}", f"one mask of shape {frames.shape[1:]}")


DIALECT = Dialect(
    name="cdtools",
    order=40,
    title="CXI of cdtools (Ptycho2DDataset.from_cxi, to_cxi)",
    conventions=Conventions(
        energy="source_1/wavelength, m; without it source_1/energy, J",
        positions="(N, 3), x y z of the sample, m; + in pixels with basis_vectors (3, 2)",
        mask="uint32; 0 and exactly 0x1000 = good, other values = bad",
        frames="(N, y, x), intensity, centred",
        probe="no entry in the format; Exitwave uses source_1/illumination",
        object="no entry in the format; Exitwave uses image_1/data",
    ),
    detect=detect_with("cdtools", _evidence),
    read=lambda file, settings: read_cxi(file, settings, normal=("I302",)),
    write=write_with("cdtools", _amend),
    check=check_with("cdtools", _check),
)
