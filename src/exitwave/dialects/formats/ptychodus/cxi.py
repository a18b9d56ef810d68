"""CXI as ptychodus uses it: joules, the probe in image_1, the object in image_2, the rest in a group ``ptychodus``."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from exitwave.cxi.hdf import open_file
from exitwave.dialects.dialect import Settings
from exitwave.dialects.tools.array_file import BROKEN, Hdf5Arrays, open_arrays
from exitwave.dialects.tools.contents import build
from exitwave.dialects.tools.extra_entries import ExtraEntries, extra_entries
from exitwave.dialects.tools.product import TRANSLATION, product_entries
from exitwave.dialects.tools.read_product import read_product, two_numbers
from exitwave.dialects.tools.write_files import OutputFile, with_prefix
from exitwave.errors import InputError
from exitwave.scan import Result, Scan, scan_in
from exitwave.units import ELEMENTARY_CHARGE

_ENTRY = "entry_1"
_DETECTOR = f"{_ENTRY}/instrument_1/detector_1"
_SOURCE = f"{_ENTRY}/instrument_1/source_1"
_GROUP = f"{_ENTRY}/ptychodus"
ENERGY = f"{_SOURCE}/energy"
MASK = f"{_DETECTOR}/mask"
FRAMES = (f"{_ENTRY}/data_1/data", f"{_DETECTOR}/data")
PATHS = {
    TRANSLATION: f"{_ENTRY}/sample_1/geometry_1/translation",
    "probe": f"{_ENTRY}/image_1/data",
    "object": f"{_ENTRY}/image_2/data",
    "@name": f"{_ENTRY}/title",
    "@comments": f"{_ENTRY}/experiment_description",
    "@detector_object_distance_m": f"{_DETECTOR}/distance",
    "@probe_photon_count": f"{_GROUP}/probe_photon_count",
    "@exposure_time_s": f"{_GROUP}/exposure_time_s",
    "@tomography_angle_deg": f"{_GROUP}/tomography_angle_deg",
    "probe@pixel_height_m": f"{_GROUP}/probe_pixel_height_m",
    "probe@pixel_width_m": f"{_GROUP}/probe_pixel_width_m",
    "object@pixel_height_m": f"{_GROUP}/object_pixel_height_m",
    "object@pixel_width_m": f"{_GROUP}/object_pixel_width_m",
    "object@center_x_m": f"{_GROUP}/object_center_x_m",
    "object@center_y_m": f"{_GROUP}/object_center_y_m",
    "object_layer_spacing_m": f"{_GROUP}/object_layer_spacing_m",
    "probe_position_indexes": f"{_GROUP}/probe_position_indexes",
    "loss_epochs": f"{_GROUP}/loss_epochs",
    "loss_values": f"{_GROUP}/loss_values",
}
"""Paths in a CXI file of the entries of an HDF5 product."""
_AXES = "coherent:incoherent:y:x"
PIXEL = (f"{_DETECTOR}/y_pixel_size", f"{_DETECTOR}/x_pixel_size")


def fits(file: Path) -> bool:
    """Return whether a CXI file has entries that only ptychodus writes. Never raises."""
    try:
        with open_file(file) as opened_file:
            probe = opened_file.get(PATHS["probe"])
            return _GROUP in opened_file or (probe is not None and probe.attrs.get("axes") == _AXES)
    except (InputError, AttributeError, *BROKEN):
        return False


def read(file: Path, settings: Settings) -> Scan | Result:
    """Read a CXI file with patterns and a product."""
    with open_arrays(file) as array_file:
        extra = ExtraEntries(array_file)
        frames = array_file.frames(FRAMES[0] if FRAMES[0] in array_file else FRAMES[1])
        indexes = np.arange(len(frames)) if PATHS["probe_position_indexes"] in array_file else None
        names = PATHS if PATHS["probe"] in array_file else PATHS | {"probe": f"{_SOURCE}/illumination"}
        found = read_product(extra, frames, indexes, names)
        joules, bad = array_file.number(ENERGY), array_file.array(MASK)
        found.energy = None if joules is None else joules / ELEMENTARY_CHARGE
        found.bad, found.bad_at = None if bad is None else bad != 0, MASK
        found.pixel_size = two_numbers(array_file, PIXEL)
        return build(found, extra, settings)


def file_of(data: Scan | Result, target: Path) -> OutputFile:
    """Return the CXI file of a scan or a result."""
    scan = scan_in(data)
    ny, nx = scan.patterns.shape[1:]
    values = product_entries(data)
    positions = data.positions
    optional = {"loss_epochs", "loss_values", "object_layer_spacing_m", "@name", "@comments"}
    entries: dict[str, Any] = {
        dataset: values[name]
        for name, dataset in PATHS.items()
        if name in values and (name not in optional or len(values[name]))
    }
    py, px = scan.detector.pixel_size
    entries |= {
        "cxi_version": 160,
        "number_of_entries": 1,
        PATHS[TRANSLATION]: positions,
        ENERGY: scan.energy * ELEMENTARY_CHARGE,
        f"{ENERGY}@units": "J",
        PIXEL[0]: py,
        PIXEL[1]: px,
        f"{_DETECTOR}/corner_position": np.array([nx / 2 * px, ny / 2 * py, scan.detector.distance]),
        MASK: (~scan.detector.always_good).astype(np.uint32),
    }
    if scan.name:
        entries[f"{_ENTRY}/sample_1/name"] = scan.name
    for number, name, kind in ((1, "probe", "amplitude"), (2, "object", "electron density")):
        group, shape = f"{_ENTRY}/image_{number}", values[name].shape
        width, height = values["object@pixel_width_m"] * shape[-1], values["object@pixel_height_m"] * shape[-2]
        entries |= {f"{group}/data_type": kind, f"{group}/data_space": "real"}
        entries |= {f"{group}/image_size": np.array([width, height, 0.0])}
        entries[f"{group}/data@axes"] = _AXES if name == "probe" else "layer:y:x"
    entries |= {f"{_ENTRY}/data_1/{name}": h5py.SoftLink(f"/{linked}") for name, linked in _LINKS.items()}
    extra = extra_entries(data, "ptychodus", ("probe", "mask", "errors"))
    return OutputFile(target, entries | with_prefix(Hdf5Arrays.prefix, extra), {FRAMES[1]: scan.patterns})


_LINKS = {"data": FRAMES[1], "translation": PATHS[TRANSLATION]}
