"""``lynx``: the LYNX instrument of the Advanced Photon Source; one stack, and a text of the positions."""

from pathlib import Path

import h5py
import numpy as np

from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength
from exitwave.dialects.tools.array_file import existing_entries
from exitwave.dialects.tools.assemble import columns_of, energy_of, length_of, mask_of, scan_of
from exitwave.dialects.tools.bad_pixel_marks import bad_pixel_value, pixels_always_at
from exitwave.dialects.tools.hdf5_values import dataset_at, frames_at, one_number, reading
from exitwave.dialects.tools.position_settings import SURPLUS, match_numbers
from exitwave.dialects.tools.text_table import table_for
from exitwave.errors import InputError
from exitwave.frames import Frames
from exitwave.scan import Detector, Scan

STACK = "/entry/data/eiger_4"
X, Y, COLUMNS = 3, 6, 7
"""Columns of the mean positions, and how many there are at least."""
UM = 1e-6
"""Unit of the columns."""
GAP = 4095
"""Count of 12 bits that marks pixels between modules."""


def detect(file: Path) -> Evidence | None:
    """Take a file with a stack of that name."""
    return Evidence(Strength.MARK, f"the stack {STACK}") if existing_entries(file, (STACK[1:],)) else None


def read(place: Path, settings: Settings) -> Scan:
    """Read a scan; see `exitwave.dialects.dialect.Dialect`."""
    with reading(place) as file:
        stack = frames_at(file, STACK)
        detector, energy = _detector(file, settings, stack), _attribute(file, "Photon_energy_kev")
    energy = energy_of(settings, None if energy is None else 1e3 * energy, f"{place}:{STACK}@Photon_energy_kev")
    table = table_for(settings, place)
    if table.values.shape[1] < COLUMNS:
        found = f"{table.values.shape[1]} columns"
        raise InputError(
            "This is not a LYNX's text of positions",
            where=table.file,
            found=found,
            remedy="Name the right one with --set positions_file=FILE",
        )
    frames, places, notes = match_numbers(settings, stack, -UM * table.values[:, [X, Y]], table.file.name)
    positions = columns_of(settings, places, len(frames), str(table.file))
    return scan_of(frames, positions, energy, detector, file=place, where=table.file.name, remarks=notes)


def _attribute(file: h5py.File, name: str) -> float | None:
    """Return a number that the stack says of itself, or None."""
    stack = dataset_at(file, STACK)
    value = None if stack is None else stack.attrs.get(name)
    return None if value is None else one_number(value, f"{file.filename}:{STACK}@{name}")


def _detector(file: h5py.File, settings: Settings, stack: Frames) -> Detector:
    where = f"{file.filename}:{STACK}"
    distance = length_of(settings, "distance", _attribute(file, "Detector_distance_m"), f"{where}@Detector_distance_m")
    pixel = length_of(settings, "pixel_size", _attribute(file, "Pixel_size"), f"{where}@Pixel_size")
    x, y = _attribute(file, "Center_x_pixel"), _attribute(file, "Center_y_pixel")
    limits = [_attribute(file, "Count_cutoff"), bad_pixel_value(stack.dtype)]
    return Detector(
        distance=distance,
        pixel_size=(pixel, pixel),
        mask=mask_of(settings, pixels_always_at(stack, GAP, bad_pixel_value(stack.dtype)), stack.shape[1:], where),
        corner_position=None if x is None or y is None else np.array([x * pixel, y * pixel, distance]),
        saturation=min((float(each) for each in limits if each is not None and each > 0), default=None),
    )


DIALECT = Dialect(
    name="lynx",
    order=110,
    title="LYNX, APS: a stack of an Eiger detector, and the positions in a text file",
    conventions=Conventions(
        energy="@Photon_energy_kev of the stack, keV",
        positions="text, one row for each frame: columns 3 and 6 (x, y), -, um",
        mask="none; pixels of 4095 or 2^bits - 1 in every frame",
        frames="/entry/data/eiger_4 (N, y, x), intensity, anywhere: @Center_x_pixel, @Center_y_pixel",
    ),
    detect=detect,
    read=read,
    settings={"positions_file": "scan.dat"} | SURPLUS,
    suffix=".h5",
)
