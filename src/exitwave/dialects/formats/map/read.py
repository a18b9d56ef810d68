"""Read an HDF5 file that a YAML map describes: its paths, units and conventions. The user opens the map."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.hdf import resolve, text
from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength
from exitwave.dialects.tools.array_checks import NO_POSITIONS, describe
from exitwave.dialects.tools.assemble import check_frames, columns_of, energy_of, length_of, mask_of, scan_of
from exitwave.dialects.tools.bad_pixel_marks import bad_pixel_value, nexus_bad_pixels, pixels_always_at
from exitwave.dialects.tools.eiger_links import linked_frames
from exitwave.dialects.tools.hdf5_values import array_at, check_readable, dataset_at, frames_at, number_at, reading
from exitwave.dialects.tools.position_settings import SIGNS, match_numbers
from exitwave.dialects.tools.text_table import read_table
from exitwave.errors import Finding, InputError
from exitwave.frames import ChangedFrames, Frames
from exitwave.frames.reordered import ReorderedFrames
from exitwave.scan import Detector, Scan
from exitwave.units import H_C, factor, parse

if TYPE_CHECKING:
    from exitwave.dialects.formats.map.file_map import FileMap, PositionsPart, QuantityPart

SUFFIXES = (".yaml", ".yml")


def detect(file: Path) -> Evidence | None:
    """Accept a file by its suffix alone, because no other format uses YAML."""
    return Evidence(Strength.MARK, "a YAML map") if file.suffix.lower() in SUFFIXES else None


def read(file: Path, settings: Settings) -> Scan:
    """Read the file that a map describes, or a file with the map that the setting ``map`` names."""
    from exitwave.dialects.formats.map.file_map import read_map

    set_by_user = settings.get("map")
    map_file = Path(set_by_user) if set_by_user else file
    file_map = read_map(map_file)
    if not set_by_user and file_map.file is None:
        remedy = "Write file: scan.h5 into the map, or open that file with --set map=FILE"
        raise InputError("The map does not name its HDF5 file", where=map_file, remedy=remedy)
    data_file = file if set_by_user or file_map.file is None else map_file.parent / file_map.file
    with reading(data_file) as opened:
        frames, remarks = _frames(opened, file_map)
        stored, where = _positions(opened, file_map.positions, map_file.parent, settings)
        others = {key: value for key, value in settings.items() if key != "positions"}
        surplus = {"surplus": file_map.surplus} if file_map.surplus else {}
        frames, stored, notes = match_numbers(surplus, frames, stored, where)
        energy = energy_of(others, _energy(opened, file_map), f"{map_file}:energy")
        detector = _detector(opened, file_map, frames, others, f"{map_file}")
        probe = _probe(opened, file_map.probe)
    positions = columns_of(others, stored, len(frames), where)
    optional = {"probe": probe, "name": file_map.name}
    remarks += notes
    return scan_of(frames, positions, energy, detector, file=data_file, where=where, remarks=remarks, **optional)


def _frames(file: h5py.File, file_map: "FileMap") -> tuple[Frames, list[Finding]]:
    """Return the patterns in the conventions of Exitwave, and the findings on their files."""
    part, stored, remarks = file_map.frames, resolve(file, file_map.frames.path), list[Finding]()
    frames: Frames
    if isinstance(stored, h5py.Group):
        linked = linked_frames(stored)
        frames, remarks = linked.frames, list(linked.findings)
    elif isinstance(stored, h5py.Dataset) and part.axes != ("frame", "y", "x"):
        check_readable(stored)
        frames = ReorderedFrames(Path(stored.file.filename).resolve(), stored.name, part.axes)
        check_frames(frames, f"{file.filename}:{part.path}")
    else:
        frames = frames_at(file, part.path)
    amplitude, corner = part.values == "amplitude", part.zero_frequency == "corner"
    if not (amplitude or corner):
        return frames, remarks

    def change(values: NDArray[Any]) -> NDArray[Any]:
        counts = np.square(values.astype(np.float64)).astype(np.float32) if amplitude else values
        return np.fft.fftshift(counts, axes=(-2, -1)) if corner else counts

    dtype = np.dtype(np.float32) if amplitude else frames.dtype
    return ChangedFrames(frames, change, (frames.shape[1], frames.shape[2]), dtype), remarks


def _positions(
    file: h5py.File, part: "PositionsPart", folder: Path, settings: Settings
) -> tuple[NDArray[np.float64], str]:
    """Return x and y in metres, shape (N, 2), and their source for messages."""
    stored_unit, columns = "", [str(column) for column in part.columns]
    if part.file is not None:
        table = read_table(folder / part.file)
        x, y, where = table.column(columns[0]), table.column(columns[1]), str(table.file)
    elif part.path is not None:
        where, stored_unit = f"{file.filename}:{part.path}", _units(file, part.path)
        x, y = _two_columns(array_at(file, part.path), columns, where)
    else:
        where, stored_unit = f"{file.filename}:{part.x}", _units(file, str(part.x))
        x, y = (_list(array_at(file, str(path)), f"{file.filename}:{path}") for path in (part.x, part.y))
        if len(x) != len(y):
            found, remedy = f"{len(x)} and {len(y)}", "Check the paths in the map"
            raise InputError("x and y differ in number", where=where, found=found, remedy=remedy)
    unit = settings.get("positions") or part.unit or stored_unit
    if not unit:
        raise InputError("The unit of the positions is not known", where=where, remedy="Write unit: um into the map")
    return np.column_stack([x, y]) * factor(unit, "length") * SIGNS[part.negate], where


def _units(file: h5py.File, path: str) -> str:
    """Return the attribute @units of a dataset, or an empty string."""
    stored = dataset_at(file, path)
    return "" if stored is None else text(stored.attrs.get("units")).strip()


def _list(stored: NDArray[Any] | None, where: str) -> NDArray[np.float64]:
    """Return the numbers of an array of any shape as a list, the last axis varying fastest."""
    if stored is None or stored.dtype.kind not in "iuf":
        raise InputError(NO_POSITIONS, where=where, found=describe(stored), remedy="Check the path in the map")
    return stored.ravel().astype(np.float64)


def _two_columns(stored: NDArray[Any] | None, columns: list[str], where: str) -> list[NDArray[np.float64]]:
    """Return two columns of an array, or two rows if the array has fewer rows than columns."""
    if stored is None or stored.ndim != 2:
        raise InputError(NO_POSITIONS, where=where, found=describe(stored), remedy="Expected an array of shape (N, 2)")
    upright = stored if stored.shape[0] >= stored.shape[1] else stored.T
    numbers = [int(column) if column.isdecimal() else -1 for column in columns]
    if not all(0 <= number < upright.shape[1] for number in numbers):
        found = f"{', '.join(columns)} of {upright.shape[1]} columns"
        raise InputError("There are no such columns", where=where, found=found, remedy="Count the columns from 0")
    return [_list(upright[:, number], where) for number in numbers]


def _quantity(file: h5py.File, part: "QuantityPart | None", dimension: str) -> float | None:
    """Return a quantity of the map in metres or eV, or None if the map does not define it."""
    if part is None:
        return None
    if part.path is None:
        return parse(str(part.value), dimension)
    value, unit = number_at(file, part.path), part.unit or _units(file, part.path)
    where = f"{file.filename}:{part.path}"
    if value is None:
        raise InputError("The path of a quantity does not exist", where=where, remedy="Check the path in the map")
    if not unit:
        raise InputError("A quantity of the map has no unit", where=where, remedy="Write its unit into the map")
    return value * factor(unit, dimension)


def _energy(file: h5py.File, file_map: "FileMap") -> float | None:
    """Return the photon energy in eV, from the energy or the wavelength of the map, or None."""
    if file_map.energy is not None:
        return _quantity(file, file_map.energy, "energy")
    wavelength = _quantity(file, file_map.wavelength, "length")
    return H_C / wavelength if wavelength and wavelength > 0 else None


def _detector(file: h5py.File, file_map: "FileMap", frames: Frames, settings: Settings, where: str) -> Detector:
    shape, mark = (frames.shape[1], frames.shape[2]), bad_pixel_value(frames.dtype)
    pixel = length_of(settings, "pixel_size", _quantity(file, file_map.pixel_size, "length"), f"{where}:pixel_size")
    bad, mask = pixels_always_at(frames, mark), file_map.mask
    if mask is not None:
        stored = _image(file, mask.path, shape)
        bad = bad | (nexus_bad_pixels(stored) if mask.bad == "nexus" else (stored == 0) == (mask.bad == "zero"))
    return Detector(
        distance=length_of(settings, "distance", _quantity(file, file_map.distance, "length"), f"{where}:distance"),
        pixel_size=(pixel, pixel),
        mask=mask_of(settings, bad, shape, f"{where}:mask"),
        dark=None if file_map.dark is None else _image(file, file_map.dark, shape).astype(np.float32),
        saturation=None if mark is None else float(mark),
    )


def _image(file: h5py.File, path: str, shape: tuple[int, int]) -> NDArray[Any]:
    """Return an array of real numbers of the shape of a frame, (ny, nx)."""
    stored = array_at(file, path)
    if stored is None or stored.shape != shape or stored.dtype.kind not in "biuf":
        raise InputError(
            "The array is missing or does not have the shape of a frame",
            where=f"{file.filename}:{path}",
            found=describe(stored),
            remedy=f"Check the path in the map; expected real numbers of shape {shape}",
        )
    return stored


def _probe(file: h5py.File, path: str | None) -> NDArray[np.complex64] | None:
    """Return the starting probe, shape (modes, ny, nx), or None if the map does not define it."""
    if path is None:
        return None
    stored = array_at(file, path)
    if stored is None or stored.dtype.kind != "c" or stored.ndim not in (2, 3):
        raise InputError(
            "The probe is missing or has the wrong type or shape",
            where=f"{file.filename}:{path}",
            found=describe(stored),
            remedy="Check the path in the map; expected complex numbers of shape (y, x) or (mode, y, x)",
        )
    return stored.reshape(-1, *stored.shape[-2:]).astype(np.complex64)


DIALECT = Dialect(
    name="map",
    order=130,
    title="Any HDF5 file, described by a YAML map of paths, units and conventions (docs/dialects.md); open the map",
    conventions=Conventions(
        energy="set in the map: a value with a unit, or a path",
        positions="set in the map: columns, rows, two arrays or a text file; unit and sign",
        mask="set in the map: nonzero = bad, 0 = bad, or NeXus bits; also pixels with the count 2^bits - 1",
        frames="set in the map: order of the axes, intensity or amplitude, zero frequency at n//2 or 0",
        probe="set in the map, (mode, y, x)",
    ),
    detect=detect,
    read=read,
    settings={"map": "beamline.yaml"},
    suffix=".yaml",
)
