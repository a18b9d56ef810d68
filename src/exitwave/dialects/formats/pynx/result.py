"""The results that PyNX saves: object and probe with reversed rows, positions in rows, and no patterns."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.energy import photon_energy
from exitwave.cxi.hdf import Layout, Source, length, reading, resolve, text
from exitwave.cxi.read import DEFAULT_LAYOUT
from exitwave.cxi.schema import ENTRY, path
from exitwave.dialects.detect import read
from exitwave.dialects.dialect import Settings
from exitwave.dialects.tools.array_checks import NO_POSITIONS, describe
from exitwave.dialects.tools.assemble import result_of, scan_of
from exitwave.dialects.tools.hdf5_values import array_at
from exitwave.errors import InputError
from exitwave.findings import finding
from exitwave.frames import MissingFrames
from exitwave.scan import Detector, Result, Scan, scan_in
from exitwave.units import factor, parse


def entry_with_result(file: h5py.File) -> str:
    """Return the entry with the highest number that has a result, or an empty string."""
    numbers = [int(name[6:]) for name in map(str, file) if name.startswith("entry_") and name[6:].isdecimal()]
    for number in sorted(numbers, reverse=True):
        entry = f"{ENTRY[:-1]}{number}"
        if isinstance(resolve(file, f"{entry}/result_1/data"), h5py.Dataset):
            return entry
    return ""


def read_result(file: Path, entry: str, settings: Settings) -> Result:
    """Read the result in an entry.

    The setting ``scan`` names the file of its scan. Without it the patterns are missing (W211), and the scan holds
    only what the result file contains.

    Raises
    ------
    InputError
        If probe or positions are missing, or the object has several modes.
    """
    with reading(file) as opened:
        probe, image = (_images(opened, f"{entry}/{name}") for name in ("result_2", "result_1"))
        if len(image) != 1:
            remedy = "Exitwave reads one object mode; keep only the mode that you need in the file"
            raise InputError("The object has several modes", where=file, found=f"{len(image)} modes", remedy=remedy)
        rows = _position_rows(opened, f"{entry}/result_5/data")
        scan = _scan(opened, entry, settings, rows, probe.shape[1:])
        positions = np.zeros((rows.shape[1], 3))
        positions[:, :2] = rows[:2].T
        result = result_of(
            scan,
            image[0],
            probe,
            x=_coordinates(opened, f"{entry}/result_1/col_coords", image.shape[2]),
            y=_coordinates(opened, f"{entry}/result_1/row_coords", image.shape[1])[::-1],
            positions=positions,
            algorithm="PyNX",
            program=text(resolve(opened, f"{entry}/program_name")),
        )
        covered = array_at(opened, f"{entry}/result_1/mask")
    if covered is None or covered.shape != image.shape[1:]:
        return result
    return replace(result, mask=(covered > 0)[::-1].astype(np.float32))


def _required_array(file: h5py.File, dataset: str) -> NDArray[Any]:
    values = array_at(file, dataset)
    if values is None:
        raise InputError(
            "A dataset of the PyNX result is missing",
            where=f"{file.filename}:{dataset}",
            remedy="Copy the file again from where it was written",
        )
    return values


def _images(file: h5py.File, group: str) -> NDArray[Any]:
    """Return complex images, shape (modes, ny, nx), with row 0 at the smallest y."""
    values = _required_array(file, f"{group}/data")
    if values.ndim == 4 and values.shape[0] == 1:  # one object for all energies or angles
        values = values[0]
    if values.ndim not in (2, 3) or values.dtype.kind != "c":
        raise InputError(
            "The dataset does not hold complex images",
            where=f"{file.filename}:{group}/data",
            found=describe(values),
            remedy="Give a result that PyNX saved with save_obj_probe_cxi",
        )
    return values.reshape(-1, *values.shape[-2:])[:, ::-1]


def _position_rows(file: h5py.File, dataset: str) -> NDArray[np.float64]:
    """Return the positions and, if stored, their shifts in metres, shape (2, npos) or (4, npos)."""
    values = _required_array(file, dataset)
    if values.ndim != 2 or len(values) < 2 or values.dtype.kind not in "iuf" or values.shape[1] < 2:
        where, remedy = f"{file.filename}:{dataset}", "Expected numbers of shape (4, npos): x, y and their shifts"
        raise InputError(NO_POSITIONS, where=where, found=describe(values), remedy=remedy)
    return values.astype(np.float64)


def _coordinates(file: h5py.File, dataset: str, count: int) -> NDArray[np.float64]:
    """Return the coordinates of the object's rows or columns in metres, shape (count,)."""
    values = _required_array(file, dataset)
    if values.shape != (count,) or values.dtype.kind not in "iuf":
        raise InputError(
            "The coordinates of the object have the wrong type or shape",
            where=f"{file.filename}:{dataset}",
            found=describe(values),
            remedy=f"Expected {count} numbers, in metres",
        )
    unit = text(getattr(resolve(file, dataset), "attrs", {}).get("units")).strip() or "m"
    return values.astype(np.float64) * factor(unit, "length")


def _scan(file: h5py.File, entry: str, settings: Settings, rows: NDArray[np.float64], shape: tuple[int, ...]) -> Scan:
    if "scan" in settings:
        return _scan_of_file(Path(settings["scan"]), rows.shape[1])
    source = Source(file, settings, layout=Layout(DEFAULT_LAYOUT.paths, entry))
    lengths = [
        parse(settings[name], "length") if name in settings else length(source, key, name)
        for key, name in (("distance", "distance"), ("y_pixel_size", "pixel_size"), ("x_pixel_size", "pixel_size"))
    ]
    frames = MissingFrames(Path(file.filename), source.in_entry(path("frames")), (rows.shape[1], shape[0], shape[1]))
    remedy = "Give the file of the scan with --set scan=FILE"
    note = finding("W211", frames.dataset, "no patterns", "the patterns of the scan", remedy)
    measured = np.zeros((rows.shape[1], 3))
    measured[:, :2] = (rows[:2] - rows[2:4] if len(rows) >= 4 else rows[:2]).T
    detector = Detector(lengths[0], (lengths[1], lengths[2]), np.zeros(shape, np.uint8))
    where = f"{entry}/result_5/data"
    return scan_of(
        frames, measured, photon_energy(source), detector, file=Path(file.filename), where=where, remarks=[note]
    )


def _scan_of_file(file: Path, npos: int) -> Scan:
    scan = scan_in(read(file))
    if len(scan.patterns) != npos:
        found = f"{len(scan.patterns)} frames in the scan and {npos} positions in the result"
        remedy = "Give another file with --set scan=FILE"
        raise InputError("The scan does not belong to the result", where=file, found=found, remedy=remedy)
    return scan
