"""What PyNX saves of a reconstruction: object and probe upside down, positions in rows, and no frames."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.energy import photon_energy
from exitwave.cxi.hdf import Layout, Source, length, reading, resolve, text
from exitwave.cxi.read import EVERYBODY
from exitwave.cxi.schema import ENTRY, path
from exitwave.dialects.detect import read
from exitwave.dialects.dialect import Settings
from exitwave.dialects.tools.assemble import result_of, scan_of
from exitwave.dialects.tools.hdf5_values import array_at
from exitwave.errors import InputError
from exitwave.findings import finding
from exitwave.frames import MissingFrames
from exitwave.scan import Detector, Result, Scan, scan_in
from exitwave.units import factor, parse


def entry_with_result(file: h5py.File) -> str:
    """Return the last entry that has a result, as PyNX numbers them, or an empty string."""
    numbers = [int(name[6:]) for name in map(str, file) if name.startswith("entry_") and name[6:].isdecimal()]
    for number in sorted(numbers, reverse=True):
        entry = f"{ENTRY[:-1]}{number}"
        if isinstance(resolve(file, f"{entry}/result_1/data"), h5py.Dataset):
            return entry
    return ""


def read_result(file: Path, entry: str, settings: Settings) -> Result:
    """Read the result in an entry.

    The setting ``scan`` names the file of its scan; without it the frames are missing (W211), and the scan is what the
    result says of it.

    Raises
    ------
    InputError
        If there is no probe or no positions, or the object has several modes.
    """
    with reading(file) as opened:
        waves, image = (_image(opened, f"{entry}/{name}") for name in ("result_2", "result_1"))
        if len(image) != 1:
            remedy = "Exitwave has one object; keep the mode that you want in the file"
            raise InputError("The object has several modes", where=file, found=f"{len(image)} modes", remedy=remedy)
        rows = _rows(opened, f"{entry}/result_5/data")
        scan = _scan(opened, entry, settings, rows, waves.shape[1:])
        positions = np.zeros((rows.shape[1], 3))
        positions[:, :2] = rows[:2].T
        result = result_of(
            scan,
            image[0],
            waves,
            x=_coordinates(opened, f"{entry}/result_1/col_coords", image.shape[2]),
            y=_coordinates(opened, f"{entry}/result_1/row_coords", image.shape[1])[::-1],
            positions=positions,
            algorithm="PyNX",
            program=text(resolve(opened, f"{entry}/program_name")),
        )
        inside = array_at(opened, f"{entry}/result_1/mask")
    if inside is None or inside.shape != image.shape[1:]:
        return result
    return replace(result, mask=(inside > 0)[::-1].astype(np.float32))


def _needed(file: h5py.File, place: str) -> NDArray[Any]:
    values = array_at(file, place)
    if values is None:
        raise InputError(
            "The result lacks a part",
            where=f"{file.filename}:{place}",
            found="nothing",
            remedy="Copy the file again from where it was written",
        )
    return values


def _image(file: h5py.File, group: str) -> NDArray[Any]:
    """Return complex images, shape (modes, ny, nx), the right way up."""
    values = _needed(file, f"{group}/data")
    if values.ndim == 4 and values.shape[0] == 1:  # one object for all energies or angles
        values = values[0]
    if values.ndim not in (2, 3) or values.dtype.kind != "c":
        found = f"{values.dtype} of shape {values.shape}"
        raise InputError(
            "These are not complex images",
            where=f"{file.filename}:{group}/data",
            found=found,
            remedy="Give a result that PyNX has saved with save_obj_probe_cxi",
        )
    return values.reshape(-1, *values.shape[-2:])[:, ::-1]


def _rows(file: h5py.File, place: str) -> NDArray[np.float64]:
    """Return positions and their shifts in metres, shape (4, npos)."""
    values = _needed(file, place)
    if values.ndim != 2 or len(values) < 2 or values.dtype.kind not in "iuf" or values.shape[1] < 2:
        found = f"{values.dtype} of shape {values.shape}"
        remedy = "Expected shape (4, npos): x, y and their shifts"
        raise InputError("These are not positions", where=f"{file.filename}:{place}", found=found, remedy=remedy)
    return values.astype(np.float64)


def _coordinates(file: h5py.File, place: str, count: int) -> NDArray[np.float64]:
    values = _needed(file, place)
    if values.shape != (count,) or values.dtype.kind not in "iuf":
        found = f"{values.dtype} of shape {values.shape}"
        where = f"{file.filename}:{place}"
        raise InputError(
            "These are not the coordinates of the object",
            where=where,
            found=found,
            remedy="Write one number for each row and each column, in metres",
        )
    unit = text(getattr(resolve(file, place), "attrs", {}).get("units")).strip() or "m"
    return values.astype(np.float64) * factor(unit, "length")


def _scan(file: h5py.File, entry: str, settings: Settings, rows: NDArray[np.float64], shape: tuple[int, ...]) -> Scan:
    if "scan" in settings:
        return _given(Path(settings["scan"]), rows.shape[1])
    source = Source(file, settings, layout=Layout(EVERYBODY.places, entry))
    lengths = [
        parse(settings[name], "length") if name in settings else length(source, key, name)
        for key, name in (("distance", "distance"), ("y_pixel_size", "pixel_size"), ("x_pixel_size", "pixel_size"))
    ]
    frames = MissingFrames(Path(file.filename), source.moved(path("frames")), (rows.shape[1], shape[0], shape[1]))
    note = finding(
        "W211", frames.dataset, "no frames", "the scan that it was made from", "Name its file with --set scan=FILE"
    )
    before = np.zeros((rows.shape[1], 3))
    before[:, :2] = (rows[:2] - rows[2:4] if len(rows) >= 4 else rows[:2]).T
    detector = Detector(lengths[0], (lengths[1], lengths[2]), np.zeros(shape, np.uint8))
    place = Path(file.filename)
    return scan_of(
        frames, before, photon_energy(source), detector, file=place, where=f"{entry}/result_5/data", remarks=[note]
    )


def _given(file: Path, npos: int) -> Scan:
    scan = scan_in(read(file))
    if len(scan.patterns) != npos:
        found = f"{len(scan.patterns)} frames, {npos} positions in the result"
        raise InputError("The scan is not that of the result", where=file, found=found, remedy="Name another file")
    return scan
