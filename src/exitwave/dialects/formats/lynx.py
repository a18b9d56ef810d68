"""``lynx``: the LYNX instrument of the Advanced Photon Source: one stack of patterns and a text file of positions."""

from pathlib import Path

import h5py

from exitwave.cxi.hdf import one_number
from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength
from exitwave.dialects.tools.array_file import existing_entries
from exitwave.dialects.tools.assemble import energy_of, length_of, mask_of
from exitwave.dialects.tools.bad_pixel_marks import bad_pixel_value, pixels_always_at
from exitwave.dialects.tools.beamline_scan import check_width, corner_of, saturation_of, scan_of_table
from exitwave.dialects.tools.hdf5_values import dataset_at, frames_at, reading
from exitwave.dialects.tools.position_settings import SURPLUS
from exitwave.dialects.tools.text_table import table_for
from exitwave.frames import Frames
from exitwave.scan import Detector, Scan

STACK = "/entry/data/eiger_4"
X, Y, COLUMNS = 3, 6, 7
"""Columns of the mean positions, and the least number of columns."""
UM = 1e-6
"""Unit of the columns."""
GAP = 4095
"""Count with which a 12-bit detector marks the gaps between its modules."""


def detect(file: Path) -> Evidence | None:
    """Accept a file with a dataset /entry/data/eiger_4."""
    return Evidence(Strength.MARK, f"the dataset {STACK}") if existing_entries(file, (STACK[1:],)) else None


def read(file: Path, settings: Settings) -> Scan:
    """Read a scan; see `exitwave.dialects.dialect.Dialect`."""
    with reading(file) as opened:
        stack = frames_at(opened, STACK)
        detector, energy = _detector(opened, settings, stack), _attribute(opened, "Photon_energy_kev")
    energy = energy_of(settings, None if energy is None else 1e3 * energy, f"{file}:{STACK}@Photon_energy_kev")
    table = table_for(settings, file)
    check_width(table, COLUMNS, "a LYNX scan")
    return scan_of_table(stack, table, -UM * table.values[:, [X, Y]], energy, detector, file, settings)


def _attribute(file: h5py.File, name: str) -> float | None:
    """Return a number that is an attribute of the stack, or None."""
    stack = dataset_at(file, STACK)
    value = None if stack is None else stack.attrs.get(name)
    return None if value is None else one_number(value, f"{file.filename}:{STACK}@{name}")


def _detector(file: h5py.File, settings: Settings, stack: Frames) -> Detector:
    where = f"{file.filename}:{STACK}"
    distance = length_of(settings, "distance", _attribute(file, "Detector_distance_m"), f"{where}@Detector_distance_m")
    pixel = length_of(settings, "pixel_size", _attribute(file, "Pixel_size"), f"{where}@Pixel_size")
    x, y = _attribute(file, "Center_x_pixel"), _attribute(file, "Center_y_pixel")
    return Detector(
        distance=distance,
        pixel_size=(pixel, pixel),
        mask=mask_of(settings, pixels_always_at(stack, GAP, bad_pixel_value(stack.dtype)), stack.shape[1:], where),
        corner_position=corner_of(x, y, (pixel, pixel), distance),
        saturation=saturation_of(_attribute(file, "Count_cutoff"), bad_pixel_value(stack.dtype)),
    )


DIALECT = Dialect(
    name="lynx",
    order=110,
    title="LYNX, APS: patterns of an Eiger detector in one dataset, and positions in a text file",
    conventions=Conventions(
        energy="@Photon_energy_kev of the dataset of the patterns, keV",
        positions="text file with one row for each frame: columns 3 and 6 (x, y), -, um",
        mask="-; pixels with the count 4095 or 2^bits - 1 in every frame = bad",
        frames="/entry/data/eiger_4 (N, y, x), intensity, zero frequency at @Center_x_pixel, @Center_y_pixel",
    ),
    detect=detect,
    read=read,
    settings={"positions_file": "scan.dat"} | SURPLUS,
    suffix=".h5",
)
