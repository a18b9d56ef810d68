"""``pynx``: CXI as PyNX reads a scan, with positions in rows; and the results that PyNX saves."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from exitwave.cxi.hdf import Layout, reading, text, whole
from exitwave.cxi.mask import HAS_SIGNAL
from exitwave.cxi.read import DEFAULT_LAYOUT
from exitwave.cxi.schema import DATA, DETECTOR, ENTRY, path
from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength
from exitwave.dialects.formats.pynx.result import entry_with_result, read_result
from exitwave.dialects.tools.cxi_family import (
    WRITTEN_FOR,
    amend_energy,
    default_basis,
    detect_with,
    read_cxi,
    replace_dataset,
    replace_link,
    write_with,
)
from exitwave.dialects.tools.cxi_profile import NOT_EQUAL, Profile, check_with
from exitwave.errors import Finding, InputError
from exitwave.scan import Result, Scan, scan_in

DARK, MONITOR = f"{DETECTOR}/dark", f"{DATA}/monitor"
FEWEST = 4
"""PyNX refuses scans with fewer positions."""


def _evidence(file: h5py.File) -> Evidence | None:
    program = text(file.get(f"{ENTRY}/program_name"))
    if text(file.attrs.get("creator")) == "PyNX" or program.startswith("PyNX"):
        return Evidence(Strength.MARK, "written by PyNX")
    positions, frames = file.get(path("positions")), file.get(path("data_frames"))
    if not isinstance(positions, h5py.Dataset) or not isinstance(frames, h5py.Dataset) or not frames.ndim:
        return None
    rows = positions.ndim == 2 and positions.shape[0] in (2, 3) and positions.shape[1] == len(frames)
    return Evidence(Strength.FITS, f"positions of shape {positions.shape}") if rows else None


def _read(file: Path, settings: Settings) -> Scan | Result:
    """Read the result in the last entry that has one, or the scan if there is no result."""
    with reading(file) as opened:
        by_exitwave, entry = WRITTEN_FOR in opened.attrs, entry_with_result(opened)
    if entry and not (by_exitwave and entry == ENTRY):
        return read_result(file, entry, settings)
    overrides = {key: value for key, value in settings.items() if key != "scan"}
    layout = Layout(DEFAULT_LAYOUT.paths, positions_in_rows=True)
    return read_cxi(file, overrides, layout, normal=("W205", "I301"))


def _amend(file: h5py.File, data: Scan | Result) -> list[Finding]:
    """Change a file of the schema into one of PyNX; return findings on what is lost."""
    scan = scan_in(data)
    py, px = scan.detector.pixel_size
    if abs(py / px - 1) > NOT_EQUAL:
        found = f"pixels of {px:g} m x {py:g} m"
        remedy = "Write another format, because PyNX reads only the width of a pixel"
        raise InputError("PyNX supports only square detector pixels", found=found, remedy=remedy)
    amend_energy(file, scan)
    replace_dataset(file, path("positions"), scan.positions.T, "m")
    replace_dataset(file, path("instrument_name"), scan.instrument)
    replace_dataset(file, path("basis_vectors"), default_basis(scan), "m")
    if scan.detector.dark is not None:
        replace_link(file, DARK, path("dark"))
    if scan.monitor is not None:
        replace_link(file, MONITOR, path("monitor"))
    if isinstance(data, Result):
        _amend_result(file, data)
    return []


def _amend_result(file: h5py.File, result: Result) -> None:
    """Write object and probe where PyNX reads those of an earlier run: rows reversed, modes on the first axis."""
    if result.object.ndim == 3:
        remedy = "Write another format, because the layers of a PyNX object are modes, not slices"
        raise InputError("PyNX does not support slices", found=f"{len(result.object)} slices", remedy=remedy)
    py, px = result.object_pixel
    covered = np.flipud(result.mask > 0.5)
    images: dict[str, dict[str, Any]] = {
        "result_1": {
            "data": result.object[None, ::-1],
            "mask": covered * np.int64(HAS_SIGNAL),
            "row_coords": result.y[::-1],
            "col_coords": result.x,
        },
        "result_2": {"data": result.probe[:, ::-1]},
    }
    for name, entries in images.items():
        for key, value in entries.items():
            units = "m" if key.endswith("coords") else ""
            replace_dataset(file, f"{ENTRY}/{name}/{key}", value, units)
        replace_dataset(file, f"{ENTRY}/{name}/x_pixel_size", px)
        replace_dataset(file, f"{ENTRY}/{name}/y_pixel_size", py)
        replace_dataset(file, f"{ENTRY}/{name}/data_space", "real")
        file[f"{ENTRY}/{name}"].attrs.update({"NX_class": "NXdata", "signal": "data"})
    shifts = (result.positions - result.scan.positions)[:, :2].T
    replace_dataset(file, f"{ENTRY}/result_5/data", np.concatenate([result.positions[:, :2].T, shifts]))
    for name, target in (("object", "result_1"), ("probe", "result_2"), ("positions", "result_5")):
        replace_link(file, f"{ENTRY}/{name}", f"{ENTRY}/{target}")
    replace_link(file, "/entry_last", ENTRY)


def _check(profile: Profile) -> None:
    """Check the entries that the CXI script of PyNX reads; it ignores units."""
    npos = profile.require_frames(path("data_frames"))
    if 0 < npos < FEWEST:
        profile.add("E121", path("data_frames"), f"{npos} frames", f"at least {FEWEST}")
    profile.require_positions((3, "npos"), (2, 3), path("positions"))
    profile.require("the name of the instrument", path("instrument_name"))
    profile.require_joules(path("energy"))
    profile.require_metres(path("distance"))
    profile.require_metres(path("x_pixel_size"))
    _check_pixels(profile)
    _check_mask(profile)
    if profile.first(DARK) is None:
        profile.note_ignored("the dark frame (PyNX reads detector_1/dark)", path("dark"))
    if profile.first(MONITOR) is None:
        profile.note_ignored("the beam monitor (PyNX reads data_1/monitor)", path("monitor"))
    if profile.first(f"{ENTRY}/result_1/data") is None:
        profile.note_ignored("the object (PyNX reads object/data)", path("object"))
    profile.note_ignored("the flat field", path("flat"))
    profile.note_ignored_extras()


def _check_pixels(profile: Profile) -> None:
    width, height = (profile.number(path(key)) for key in ("x_pixel_size", "y_pixel_size"))
    if width and height and abs(height / width - 1) > NOT_EQUAL:
        profile.add("E122", path("y_pixel_size"), f"{height:g} m", f"{width:g} m (PyNX assumes square pixels)")


def _check_mask(profile: Profile) -> None:
    mask = profile.first(path("mask"))
    if mask is not None and mask.dtype.kind in "iu" and mask.ndim == 2 and (whole(mask) == HAS_SIGNAL).any():
        found = "good pixels with the value 0x1000, which PyNX treats as bad"
        profile.add("E122", mask.name, found, "0 for a good pixel")


DIALECT = Dialect(
    name="pynx",
    order=30,
    title="CXI of PyNX: scans and results",
    conventions=Conventions(
        energy="source_1/energy, J",
        positions="(3, N), rows x y z of the probe, +, m",
        mask="integer, nonzero = bad",
        frames="(N, y, x), intensity, centred; square pixels",
        probe="result_2/data (mode, y, x), row 0 at the largest y",
        object="result_1/data (mode, y, x), row 0 at the largest y",
    ),
    detect=detect_with("pynx", _evidence),
    read=_read,
    write=write_with("pynx", _amend),
    check=check_with("pynx", _check),
    settings={"scan": "data.cxi (the scan of a result)"},
)
