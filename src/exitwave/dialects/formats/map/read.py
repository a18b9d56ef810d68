"""``map``: any HDF5 file, by a YAML map of paths, units and conventions. The map itself is what is opened."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.hdf import resolve, text
from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength
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
    from exitwave.dialects.formats.map.plan import Plan, PositionsPart, QuantityPart

SUFFIXES = (".yaml", ".yml")


def detect(file: Path) -> Evidence | None:
    """Take a file by the end of its name alone, for nothing else of YAML can be a scan."""
    return Evidence(Strength.MARK, "a YAML map") if file.suffix.lower() in SUFFIXES else None


def read(place: Path, settings: Settings) -> Scan:
    """Read the file of a map; or a file by the map that the setting ``map`` names."""
    from exitwave.dialects.formats.map.plan import read_plan

    given = settings.get("map")
    at = Path(given) if given else place
    plan = read_plan(at)
    if not given and plan.file is None:
        remedy = "Write file: scan.h5 into it, or open that file with --set map=FILE"
        raise InputError("The map does not say of which file it is", where=at, remedy=remedy)
    data = place if given or plan.file is None else at.parent / plan.file
    with reading(data) as file:
        frames, remarks = _frames(file, plan)
        places, where = _positions(file, plan.positions, at.parent, settings)
        others = {key: value for key, value in settings.items() if key != "positions"}
        surplus = {"surplus": plan.surplus} if plan.surplus else {}
        frames, places, notes = match_numbers(surplus, frames, places, where)
        energy = energy_of(others, _energy(file, plan), f"{at}:energy")
        detector = _detector(file, plan, frames, others, f"{at}")
        probe = _probe(file, plan.probe)
    positions = columns_of(others, places, len(frames), where)
    beam = {"probe": probe, "name": plan.name}
    return scan_of(frames, positions, energy, detector, file=data, where=where, remarks=[*remarks, *notes], **beam)


def _frames(file: h5py.File, plan: "Plan") -> tuple[Frames, list[Finding]]:
    """Return the frames as Exitwave has them, and what was remarked about their files."""
    chosen, found, remarks = plan.frames, resolve(file, plan.frames.path), list[Finding]()
    frames: Frames
    if isinstance(found, h5py.Group):
        linked = linked_frames(found)
        frames, remarks = linked.frames, list(linked.findings)
    elif isinstance(found, h5py.Dataset) and chosen.axes != ("frame", "y", "x"):
        check_readable(found)
        frames = ReorderedFrames(Path(found.file.filename).resolve(), found.name, chosen.axes)
        check_frames(frames, f"{file.filename}:{chosen.path}")
    else:
        frames = frames_at(file, chosen.path)
    amplitude, corner = chosen.values == "amplitude", chosen.zero_frequency == "corner"
    if not (amplitude or corner):
        return frames, remarks

    def change(stored: NDArray[Any]) -> NDArray[Any]:
        counts = np.square(stored.astype(np.float64)).astype(np.float32) if amplitude else stored
        return np.fft.fftshift(counts, axes=(-2, -1)) if corner else counts

    dtype = np.dtype(np.float32) if amplitude else frames.dtype
    return ChangedFrames(frames, change, (frames.shape[1], frames.shape[2]), dtype), remarks


def _positions(
    file: h5py.File, chosen: "PositionsPart", folder: Path, settings: Settings
) -> tuple[NDArray[np.float64], str]:
    """Return x and y in metres, shape (N, 2), and where they come from."""
    stated, columns = "", [str(each) for each in chosen.columns]
    if chosen.file is not None:
        table = read_table(folder / chosen.file)
        x, y, where = table.column(columns[0]), table.column(columns[1]), str(table.file)
    elif chosen.path is not None:
        where, stated = f"{file.filename}:{chosen.path}", _units(file, chosen.path)
        x, y = _two(array_at(file, chosen.path), columns, where)
    else:
        where, stated = f"{file.filename}:{chosen.x}", _units(file, str(chosen.x))
        x, y = (_list(array_at(file, str(path)), f"{file.filename}:{path}") for path in (chosen.x, chosen.y))
        if len(x) != len(y):
            raise InputError(
                "x and y differ in number",
                where=where,
                found=f"{len(x)} and {len(y)}",
                remedy="Check the paths in the map",
            )
    unit = settings.get("positions") or chosen.unit or stated
    if not unit:
        raise InputError("The unit of the positions is not known", where=where, remedy="Write unit: um into the map")
    return np.column_stack([x, y]) * factor(unit, "length") * SIGNS[chosen.negate], where


def _units(file: h5py.File, path: str) -> str:
    stored = dataset_at(file, path)
    return "" if stored is None else text(stored.attrs.get("units")).strip()


def _list(stored: NDArray[Any] | None, where: str) -> NDArray[np.float64]:
    """Return an array of any shape as a list of numbers, the last axis the fastest."""
    if stored is None or stored.dtype.kind not in "iuf":
        found = "nothing" if stored is None else stored.dtype
        raise InputError("These are not positions", where=where, found=found, remedy="Check the path in the map")
    return stored.ravel().astype(np.float64)


def _two(stored: NDArray[Any] | None, columns: list[str], where: str) -> list[NDArray[np.float64]]:
    """Return two columns of an array, or two rows where it has fewer rows than columns."""
    if stored is None or stored.ndim != 2:
        found = "nothing" if stored is None else stored.shape
        raise InputError("These are not positions", where=where, found=found, remedy="Expected an array (N, 2)")
    upright = stored if stored.shape[0] >= stored.shape[1] else stored.T
    numbers = [int(each) if each.isdecimal() else -1 for each in columns]
    if not all(0 <= each < upright.shape[1] for each in numbers):
        found = f"{', '.join(columns)} of {upright.shape[1]}"
        raise InputError("There are no such columns", where=where, found=found, remedy="Count them from 0")
    return [_list(upright[:, each], where) for each in numbers]


def _value(file: h5py.File, chosen: "QuantityPart | None", dimension: str) -> float | None:
    """Return a quantity in metres or eV that the map gives or tells the place of, or None where it does neither."""
    if chosen is None:
        return None
    if chosen.path is None:
        return parse(str(chosen.value), dimension)
    value, unit = number_at(file, chosen.path), chosen.unit or _units(file, chosen.path)
    where = f"{file.filename}:{chosen.path}"
    if value is None or not unit:
        what = "There is nothing at a path of the map" if value is None else "A quantity of the map has no unit"
        raise InputError(what, where=where, remedy="Check the path, and write its unit into the map")
    return value * factor(unit, dimension)


def _energy(file: h5py.File, plan: "Plan") -> float | None:
    if plan.energy is not None:
        return _value(file, plan.energy, "energy")
    wavelength = _value(file, plan.wavelength, "length")
    return H_C / wavelength if wavelength and wavelength > 0 else None


def _detector(file: h5py.File, plan: "Plan", frames: Frames, settings: Settings, where: str) -> Detector:
    shape, mark = (frames.shape[1], frames.shape[2]), bad_pixel_value(frames.dtype)
    pixel = length_of(settings, "pixel_size", _value(file, plan.pixel_size, "length"), f"{where}:pixel_size")
    bad = pixels_always_at(frames, mark)
    if plan.mask is not None:
        stored = _image(file, plan.mask.path, shape)
        listed = nexus_bad_pixels(stored) if plan.mask.bad == "nexus" else (stored == 0) == (plan.mask.bad == "zero")
        bad = bad | listed
    return Detector(
        distance=length_of(settings, "distance", _value(file, plan.distance, "length"), f"{where}:distance"),
        pixel_size=(pixel, pixel),
        mask=mask_of(settings, bad, shape, f"{where}:mask"),
        dark=None if plan.dark is None else _image(file, plan.dark, shape).astype(np.float32),
        saturation=None if mark is None else float(mark),
    )


def _image(file: h5py.File, path: str, shape: tuple[int, int]) -> NDArray[Any]:
    stored = array_at(file, path)
    if stored is None or stored.shape != shape or stored.dtype.kind not in "biuf":
        found = "nothing" if stored is None else f"{stored.dtype} of shape {stored.shape}"
        raise InputError(
            "This does not fit the frames",
            where=f"{file.filename}:{path}",
            found=found,
            remedy="Check the path in the map: an array of the frames' shape (y, x)",
        )
    return stored


def _probe(file: h5py.File, path: str | None) -> NDArray[np.complex64] | None:
    if path is None:
        return None
    stored = array_at(file, path)
    if stored is None or stored.dtype.kind != "c" or stored.ndim not in (2, 3):
        found = "nothing" if stored is None else f"{stored.dtype} of shape {stored.shape}"
        raise InputError(
            "This is not a probe",
            where=f"{file.filename}:{path}",
            found=found,
            remedy="Check the path in the map: complex numbers of shape (y, x) or (mode, y, x)",
        )
    return stored.reshape(-1, *stored.shape[-2:]).astype(np.complex64)


DIALECT = Dialect(
    name="map",
    order=130,
    title="Any HDF5 file by a YAML map of paths, units and conventions (docs/dialects.md); open the map",
    conventions=Conventions(
        energy="as the map says: a value with a unit, or where it lies",
        positions="as the map says: columns, rows, two arrays or a text file; unit and sign",
        mask="as the map says: bad where not 0, where 0, or NeXus bits; and pixels of 2^bits - 1",
        frames="as the map says: order of the axes, intensity or amplitude, zero frequency at n//2 or 0",
        probe="as the map says, (mode, y, x)",
    ),
    detect=detect,
    read=read,
    settings={"map": "beamline.yaml"},
    suffix=".yaml",
)
