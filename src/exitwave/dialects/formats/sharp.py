"""``sharp``: CXI of SHARP and of the COSMIC beamline: positions start at 0; corner_position gives the object pixel."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from exitwave.cxi.hdf import reading, whole
from exitwave.cxi.schema import ALSO, DATA, DETECTOR, ENTRY, GEOMETRY, OBJECT, PROCESS, SOURCE, path
from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength
from exitwave.dialects.tools.array_checks import describe
from exitwave.dialects.tools.cxi_family import (
    amend_axes,
    amend_energy,
    detect_with,
    image_layout,
    read_cxi,
    replace_dataset,
    replace_link,
    write_with,
)
from exitwave.dialects.tools.cxi_profile import NOT_EQUAL, Profile, check_with
from exitwave.dialects.tools.hdf5_values import array_at
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.scan import Result, Scan, scan_in
from exitwave.units import ELEMENTARY_CHARGE, H_C

LATEST = f"{ENTRY}/image_latest"
FINAL = "process_1/final_illumination"
OWN_ENTRIES = (
    LATEST,
    f"{OBJECT}/{FINAL}",
    f"{SOURCE}/data_illumination",
    *(
        f"{DETECTOR}/{name}"
        for name in (
            "probe_mask",
            "Probe Mask",
            "probe_Rmask",
            "Fillumination_mask",
            "Fillumination_intensities",
            "illumination_intensities",
            "initial_image",
            "solution",
        )
    ),
)
"""Entries that only SHARP and its companion programs write."""
ORIGIN, MODES = f"{GEOMETRY}/origin", f"{SOURCE}/illumination_modes"
"""Entries that Exitwave adds: the origin of the positions, and all modes of a probe with several modes."""


def _evidence(file: h5py.File) -> Evidence | None:
    found = [entry for entry in OWN_ENTRIES if file.get(entry, getlink=True) is not None]
    return Evidence(Strength.MARK, found[0].removeprefix(ENTRY + "/")) if found else None


def _read(file: Path, settings: Settings) -> Scan | Result:
    """Read the last image with its own probe, and add the stored origin to the positions."""
    layout = image_layout(file)
    image = layout.paths["object"][0].rpartition("/")[0]
    with reading(file) as opened:
        stored = [name for name in (MODES, f"{image}/{FINAL}") if name in opened]
        origin = array_at(opened, ORIGIN)
    paths = dict(layout.paths) | {"illumination": tuple(stored[:1]) or ALSO["illumination"]}
    data = read_cxi(file, settings, replace(layout, paths=paths), normal=("I301",))
    if origin is None:
        return data
    if origin.shape != (3,) or origin.dtype.kind != "f":
        raise InputError(
            "The origin of the positions has the wrong type or shape",
            where=f"{file}:{ORIGIN}",
            found=describe(origin),
            remedy="Expected three numbers: x, y and z in metres",
        )
    scan = scan_in(data)
    moved = replace(scan, positions=scan.positions + origin)
    if not isinstance(data, Result):
        return moved
    refined = data.positions is not scan.positions  # refined positions are stored with their origin
    return replace(data, scan=moved, positions=data.positions if refined else moved.positions)


def _amend(file: h5py.File, data: Scan | Result) -> list[Finding]:
    """Change a file of the schema into one of SHARP; return findings on what is lost."""
    scan, lost = scan_in(data), list[Finding]()
    (ny, nx), (py, px) = scan.patterns.shape[1:], scan.detector.pixel_size
    centred = np.array([nx / 2 * px, ny / 2 * py, scan.detector.distance])
    corner = scan.detector.corner_position
    if corner is not None and not np.allclose(corner, centred, rtol=NOT_EQUAL):
        remedy = "The corner of a centred detector was written, because the object pixel is computed from it"
        lost.append(finding("W251", path("corner_position"), corner.tolist(), str(centred.tolist()), remedy))
    bad = int((~scan.detector.always_good).sum())
    if bad:
        found, remedy = f"a mask with {bad} bad pixels", "Interpolate their counts from their neighbours"
        lost.append(finding("W251", path("mask"), found, "no mask (SHARP reads none)", remedy))
    amend_energy(file, scan)
    amend_axes(file)
    replace_dataset(file, path("corner_position"), centred, "m")
    origin = scan.positions.min(axis=0)
    replace_dataset(file, path("positions"), scan.positions - origin, "m")
    replace_dataset(file, ORIGIN, origin, "m")
    _amend_probe(file)
    if isinstance(data, Result):
        replace_link(file, LATEST, OBJECT)
        if path("illumination") in file:
            replace_link(file, f"{PROCESS}/final_illumination", path("illumination"))
    return lost


def _amend_probe(file: h5py.File) -> None:
    """Write the first probe mode as the illumination, which is one image in SHARP, and all modes in another dataset."""
    probe = file.get(path("illumination"))
    if probe is not None and probe.ndim == 3:
        modes = whole(probe)
        replace_dataset(file, path("illumination"), modes[0])
        replace_dataset(file, MODES, modes)


def _check(profile: Profile) -> None:
    """Check the entries that all writers of SHARP's files write, and the object pixel from corner_position."""
    profile.require_frames(path("frames"), f"{DATA}/data")
    profile.require_joules(path("energy"))
    for key in ("distance", "x_pixel_size", "y_pixel_size", "corner_position"):
        profile.require_metres(path(key))
    profile.require_positions(("npos", 3), (3,), path("detector_positions"))
    positions = profile.first(path("detector_positions"))
    if positions is not None and positions.dtype.kind == "f" and (whole(positions) < 0).any():
        profile.add("E122", positions.name, "negative positions", "positions that start at 0")
    probe = profile.first(path("illumination"))
    if probe is not None and probe.ndim != 2:
        profile.add("E121", probe.name, f"shape {probe.shape}", "one illumination of shape (ny, nx)")
    _check_corner(profile)
    profile.note_ignored("the mask (change the counts of bad pixels instead)", path("mask"))
    profile.note_ignored("the flat field", path("flat"))
    profile.note_ignored_extras()


def _check_corner(profile: Profile) -> None:
    """Compare the object pixel with the half period at the largest angle, which COSMIC takes from corner_position."""
    corner, frames = profile.first(path("corner_position")), profile.first(path("frames"))
    energy, distance = profile.number(path("energy")), profile.number(path("distance"))
    pixels = [profile.number(path(key)) for key in ("y_pixel_size", "x_pixel_size")]
    if corner is None or corner.shape != (3,) or frames is None or frames.ndim != 3:
        return
    if not (energy and energy < 1e-12 and distance and pixels[0] and pixels[1]):
        return
    x, y, z = np.abs(np.asarray(whole(corner), np.float64))
    wavelength = H_C / (energy / ELEMENTARY_CHARGE)
    with np.errstate(divide="ignore"):
        half_period = wavelength * z * np.sqrt(2) / (2 * np.hypot(x, y))
    size = np.hypot(frames.shape[1] * pixels[0], frames.shape[2] * pixels[1]) / np.sqrt(2)
    if not abs(half_period / (wavelength * distance / size) - 1) < 10 * NOT_EQUAL:
        expected = "the outer corner of a centred detector (the object pixel is computed from it)"
        profile.add("E122", corner.name, f"{x:g}, {y:g}, {z:g} m", expected)


DIALECT = Dialect(
    name="sharp",
    order=50,
    title="CXI of SHARP and of COSMIC at the ALS",
    conventions=Conventions(
        energy="source_1/energy, J",
        positions="(N, 3), x y z of the probe, starting at 0, +, m",
        mask="-",
        frames="(N, y, x), intensity, centred; corner_position of a centred detector",
        probe="source_1/illumination (y, x); of a result image_N/process_1/final_illumination",
        object="image_N/data (y, x) with the largest N, also image_latest",
    ),
    detect=detect_with("sharp", _evidence),
    read=_read,
    write=write_with("sharp", _amend),
    check=check_with("sharp", _check),
)
