"""``nxcxi_ptycho``: the NeXus definition NXcxi_ptycho, in which source_1/energy is that of the storage ring."""

from pathlib import Path

import h5py
import numpy as np

from exitwave.cxi.hdf import Layout, reading, text
from exitwave.cxi.read import DEFAULT_LAYOUT
from exitwave.cxi.schema import BEAM, DATA, DETECTOR, ENTRY, GEOMETRY, INSTRUMENT, SAMPLE, SOURCE, path
from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength
from exitwave.dialects.tools.cxi_family import (
    AXES,
    amend_axes,
    detect_with,
    read_cxi,
    replace_dataset,
    replace_link,
    write_with,
)
from exitwave.dialects.tools.cxi_profile import Profile, check_with
from exitwave.errors import Finding, InputError
from exitwave.scan import Result, Scan, scan_in
from exitwave.units import ELEMENTARY_CHARGE

DEFINITIONS = ("NXcxi_ptycho", "NXptycho")
ENTRIES = (ENTRY, "/entry")
PHOTONS = (path("incident_beam_energy"), path("beam_energy"), path("incident_energy"))
"""Datasets of the photon energy, in order of preference."""
MOTORS, PLOT, MONITOR = f"{SAMPLE}/transformations", f"{ENTRY}/data", f"{INSTRUMENT}/monitor_1"
NOT_IN_SCAN = (
    *(f"{SOURCE}/{name}" for name in ("name", "energy")),
    *(f"{BEAM}/{name}" for name in ("extent", "incident_beam_divergence", "incident_energy_spread")),
)
"""Entries that the definition requires and a scan does not contain."""


def _entry(file: h5py.File) -> str:
    """Return the entry that follows the definition, or an empty string."""
    return next((entry for entry in ENTRIES if text(file.get(f"{entry}/definition")) in DEFINITIONS), "")


def _evidence(file: h5py.File) -> Evidence | None:
    entry = _entry(file)
    return Evidence(Strength.MARK, f"definition {text(file[f'{entry}/definition'])}") if entry else None


def _read(file: Path, settings: Settings) -> Scan | Result:
    with reading(file) as opened:
        entry = _entry(opened)
    if not entry:
        remedy = f"Write {DEFINITIONS[0]} to entry_1/definition, or omit --from"
        raise InputError("The file does not follow the definition NXcxi_ptycho", where=file, remedy=remedy)
    paths = dict(DEFAULT_LAYOUT.paths) | {
        "energy": PHOTONS,
        "pixel_mask": (f"{DETECTOR}/pixel_mask", path("pixel_mask")),
    }
    return read_cxi(file, settings, Layout(paths, entry), normal=("I301", "I302"))


def _amend(file: h5py.File, data: Scan | Result) -> list[Finding]:
    """Change a file of the schema into one of NXcxi_ptycho; return findings on what is lost."""
    scan = scan_in(data)
    replace_dataset(file, f"{ENTRY}/definition", DEFINITIONS[0])
    replace_dataset(file, f"{ENTRY}/title", scan.name or scan.description or "ptychography")
    del file[path("energy")]
    file[SOURCE].attrs.pop("units", None)
    replace_dataset(file, f"{SOURCE}/probe", "x-ray")
    replace_dataset(file, f"{SOURCE}/type", "Synchrotron X-ray Source")
    for dataset in PHOTONS[:2]:
        replace_dataset(file, dataset, scan.energy * ELEMENTARY_CHARGE, "J")
    _amend_positions(file, scan)
    _amend_detector(file, scan)
    return []


def _amend_positions(file: h5py.File, scan: Scan) -> None:
    """Write the positions into the detector's group, links to them, and the axes of the motors."""
    del file[path("positions")], file[path("detector_positions")]
    stored = replace_dataset(file, path("detector_positions"), scan.positions, "m")
    stored.attrs.update({"axes": AXES, "interpretation": "image"})
    for key in ("positions", "data_positions"):
        replace_link(file, path(key), path("detector_positions"))
    file[GEOMETRY].attrs["NX_class"] = "NXcollection"
    file.create_group(MOTORS).attrs["NX_class"] = "NXtransformations"
    for column, name in enumerate("xy"):
        motor = replace_dataset(file, f"{MOTORS}/{name}", scan.positions[:, column], "m")
        motor.attrs.update({"transformation_type": "translation", "vector": np.eye(3)[column], "depends_on": "."})


def _amend_detector(file: h5py.File, scan: Scan) -> None:
    """Write the beam centre, the NXdata group for plotting, and the monitor."""
    amend_axes(file)
    corner = file[path("corner_position")][()]
    for value, name in zip(corner, "xy", strict=False):
        replace_dataset(file, f"{DETECTOR}/beam_center_{name}", value, "m")
    file[DETECTOR].attrs["signal"] = "data"
    file[DATA].attrs["NX_class"] = "NXcollection"
    file.create_group(PLOT).attrs.update({"NX_class": "NXdata", "signal": "data", "axes": ["x", ".", "."]})
    file[PLOT].attrs.update({"x_indices": 0, "y_indices": 0})
    for name, target in (("data", path("frames")), ("x", f"{MOTORS}/x"), ("y", f"{MOTORS}/y")):
        replace_link(file, f"{PLOT}/{name}", target)
    if scan.monitor is not None:
        file.create_group(MONITOR).attrs["NX_class"] = "NXmonitor"
        replace_link(file, f"{MONITOR}/data", path("monitor"))


def _check(profile: Profile) -> None:
    """Check the entries and attributes that the definition requires."""
    profile.require(f"the name of the definition, {DEFINITIONS[0]}", f"{ENTRY}/definition")
    profile.require("a title", f"{ENTRY}/title")
    _check_attributes(profile, "the photon energy", ("units",), *PHOTONS[:2])
    ring = profile.number(path("energy"))
    if ring is not None and (ring < 1e-12 or 50 <= ring <= 200e3):
        profile.add("E122", path("energy"), f"{ring:g}, a photon energy", "the energy of the storage ring")
    profile.require_frames(path("frames"), path("data_frames"))
    for key in ("distance", "x_pixel_size", "y_pixel_size"):
        _check_attributes(profile, "a length", ("units",), path(key))
    _check_attributes(profile, "positions", ("units", "axes", "interpretation"), path("detector_positions"))
    positions = profile.first(path("detector_positions"))
    if positions is not None and (positions.ndim != 2 or positions.shape[1] != 3):
        profile.add("E121", positions.name, f"shape {positions.shape}", "shape (npos, 3)")
    for entry in NOT_IN_SCAN:
        if profile.first(entry) is None:
            profile.add("W254", entry, "nothing", "an entry that the definition requires")
    profile.note_ignored("the probe (the definition has no entry for it)", path("illumination"))
    profile.note_ignored_extras()


def _check_attributes(profile: Profile, what: str, names: tuple[str, ...], *paths: str) -> None:
    """Require the first dataset of several paths, with attributes of some names."""
    dataset = profile.require(what, *paths)
    missing = [name for name in names if dataset is not None and name not in dataset.attrs]
    if dataset is not None and missing:
        profile.add("E121", dataset.name, "nothing", f"the attributes {', '.join(missing)}")


DIALECT = Dialect(
    name="nxcxi_ptycho",
    order=60,
    title="NeXus definition NXcxi_ptycho",
    conventions=Conventions(
        energy="beam_1/incident_beam_energy, unit in @units; source_1/energy is that of the storage ring",
        positions="detector_1/translation (N, 3), x y z of the probe, +, unit in @units",
        mask="pixel_mask, uint32 NeXus bits; Exitwave also writes mask, 1 = bad",
        frames="(N, y, x), intensity, centred",
        probe="no entry in the format; Exitwave uses source_1/illumination",
        object="no entry in the format; Exitwave uses image_1/data",
    ),
    detect=detect_with("nxcxi_ptycho", _evidence),
    read=_read,
    write=write_with("nxcxi_ptycho", _amend),
    check=check_with("nxcxi_ptycho", _check),
)
