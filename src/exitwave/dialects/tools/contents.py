"""Make a Scan or a Result from the entries of a format and the extra entries of Exitwave."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.dialects.dialect import Settings
from exitwave.dialects.tools.array_checks import NO_POSITIONS, describe
from exitwave.dialects.tools.array_file import ArrayFile
from exitwave.dialects.tools.assemble import columns_of, energy_of, length_of, mask_of, result_of, scan_of
from exitwave.dialects.tools.extra_entries import ExtraEntries
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.frames import Frames
from exitwave.scan import Detector, NearField, Result, Scan
from exitwave.units import H_C

AGREED = 1e-3
"""Largest difference in object pixels between positions of a format and the extra ones in double precision."""


@dataclass
class Contents:
    """Values from the entries of a format, in SI units. None: taken from the extra entries, or given by the user."""

    frames: Frames
    """Patterns, centred, in counts."""
    positions: NDArray[Any]
    """Centres of the probe, shape (npos, 2 or 3), columns x, y (and z), in metres; of a result those that were used."""
    positions_at: str
    """Name of the entry with the positions, for messages."""
    in_pixels: bool = False
    """Whether the positions are (column, row) of the object in pixels, from its pixel (0, 0), in place of metres."""
    energy: float | None = None
    """Photon energy in eV."""
    distance: float | None = None
    """Detector distance in metres."""
    pixel_size: tuple[float, float] | None = None
    """Detector pixel (y, x) in metres."""
    object_pixel: tuple[float, float] | None = None
    """Object pixel (y, x) in metres, from which the detector pixel is computed."""
    bad: NDArray[np.bool_] | None = None
    """Bad pixels, shape (ny, nx) or (npos, ny, nx)."""
    bad_at: str = ""
    """Name of the entry with the mask, for messages."""
    probe: NDArray[Any] | None = None
    """Probe modes, shape (modes, ny, nx), in square roots of counts under a unitary FFT."""
    object: NDArray[Any] | None = None
    """Complex object of a result, row 0 at the smallest y; None: the file has only a scan."""
    x: NDArray[np.float64] | None = None
    """Sample coordinates of the object's columns in metres."""
    y: NDArray[np.float64] | None = None
    """Sample coordinates of the object's rows in metres."""
    centre: tuple[float, float] | None = None
    """Sample coordinates (x, y) of the object's pixel N//2 in metres, in place of ``x`` and ``y``."""
    z: NDArray[np.float64] | None = None
    """Coordinates of the slices along the beam in metres."""
    errors: NDArray[Any] | None = None
    """Error of each iteration."""
    near: NearField | None = None
    """Given if the frames are near-field images."""
    name: str = ""
    """Name of the sample."""
    program: str = ""
    """Program that made the result."""
    remarks: list[Finding] = field(default_factory=list)
    """Findings of the reader."""


def first_given(*values: Any) -> Any:
    """Return the first value that is not None, or None."""
    return next((value for value in values if value is not None), None)


def two_columns(
    array_file: ArrayFile, name: str, values: NDArray[Any] | None, count: int | None = None
) -> NDArray[np.float64]:
    """Return positions as two columns, shape (count, 2), in the order of the file.

    Parameters
    ----------
    array_file : ArrayFile
        The file.
    name : str
        Name of the entry, for messages.
    values : ndarray or None
        Value of the entry.
    count : int, optional
        Required number of positions; None: any number.

    Raises
    ------
    InputError
        If there are none, or they are not numbers in two columns.
    """
    fit = values is not None and values.ndim == 2 and values.dtype.kind in "iuf" and values.shape[1] == 2
    if values is None or not fit or (count is not None and len(values) != count):
        found = describe(values)
        remedy = f"Expected numbers of shape ({'N' if count is None else count}, 2)"
        raise InputError(NO_POSITIONS, where=array_file.where(name), found=found, remedy=remedy)
    return values.astype(np.float64)


def build(contents: Contents, extra: ExtraEntries, settings: Settings) -> Scan | Result:
    """Return the scan or the result of a file. A value of the format comes before an extra entry of Exitwave.

    Raises
    ------
    InputError
        If a value is missing or impossible, see `exitwave.dialects.tools.assemble`.
    """
    file, shape = extra.array_file.file, contents.frames.shape[1:]
    energy = energy_of(settings, first_given(contents.energy, extra.number("energy")), str(file))
    distance = length_of(settings, "distance", first_given(contents.distance, extra.number("distance")), str(file))
    mask_at = extra.array_file.where(contents.bad_at or extra.array_file.prefix + "mask")
    detector = Detector(
        distance=distance,
        pixel_size=_pixel_size(contents, extra, settings, H_C / energy * distance),
        mask=mask_of(settings, _bad(contents, extra), shape, mask_at),
        corner_position=None if (corner := extra.numbers("corner", 3)) is None else np.array(corner),
        saturation=extra.number("saturation"),
        pixel_mask=_typed(extra.array("pixel_mask", shape, "iu"), np.uint32),
        dark=_typed(extra.array("dark", shape), np.float32),
        flat=_typed(extra.array("flat", shape), np.float32),
        countrate_correction_applied=bool(extra.notes.get("countrate_correction_applied")),
        flatfield_applied=bool(extra.notes.get("flatfield_applied")),
    )
    remarks = list(contents.remarks)
    scan = Scan(
        contents.frames,
        np.zeros((len(contents.frames), 3)),
        energy,
        detector,
        probe=None if contents.object is not None else _probe(contents, remarks),
        name=contents.name or extra.text("name"),
        description=extra.text("description"),
        instrument=extra.text("instrument"),
        near=contents.near or extra.near,
        monitor=extra.array("monitor", (len(contents.frames),)),
        left_out=extra.left_out(len(contents.frames)),
        preparation=extra.preparation,
    )
    used, measured = _positions(contents, extra, settings, scan.object_pixel)
    others = {field.name: getattr(scan, field.name) for field in fields(Scan) if field.name in _OTHERS}
    where = contents.positions_at
    scan = scan_of(scan.patterns, measured, energy, detector, file=file, where=where, remarks=remarks, **others)
    return scan if contents.object is None else _result(contents, extra, scan, used)


_OTHERS = ("probe", "name", "description", "instrument", "near", "monitor", "left_out", "preparation")


def _result(contents: Contents, extra: ExtraEntries, scan: Scan, used: NDArray[np.float64]) -> Result:
    assert contents.object is not None
    if contents.object.ndim not in (2, 3):
        shape, remedy = contents.object.shape, "Expected (ny, nx) or (slices, ny, nx)"
        where = extra.array_file.file
        raise InputError("The object is not an image", where=where, found=f"shape {shape}", remedy=remedy)
    z = None
    if contents.object.ndim == 3:
        z = first_given(extra.array("z", contents.object.shape[:1], "f"), contents.z)
    if contents.object.ndim == 3 and z is None:
        what, remedy = "The coordinates of the slices are missing", "Save one slice, or the product of all slices"
        found = f"{len(contents.object)} slices"
        raise InputError(what, where=extra.array_file.file, found=found, remedy=remedy)
    probe = np.zeros((0, *scan.patterns.shape[1:]), np.complex64) if contents.probe is None else contents.probe
    rows, columns = contents.object.shape[-2:]
    x, y, (py, px) = contents.x, contents.y, scan.object_pixel
    if contents.in_pixels or contents.centre is not None:
        x0, y0 = contents.centre or _origin(extra)
        column, row = (columns // 2, rows // 2) if contents.centre else (0, 0)
        x, y = x0 + (np.arange(columns) - column) * px, y0 + (np.arange(rows) - row) * py
    result = result_of(
        scan,
        contents.object,
        probe,
        x=first_given(extra.array("x", (columns,), "f"), x),
        y=first_given(extra.array("y", (rows,), "f"), y),
        positions=used,
        errors=first_given(contents.errors, extra.array("errors", kinds="f")),
        algorithm=extra.text("algorithm"),
        program=extra.text("program") or contents.program,
        z=z,
    )
    inside = extra.array("inside", (rows, columns))
    return result if inside is None else replace(result, mask=inside.astype(np.float32))


def _origin(extra: ExtraEntries) -> tuple[float, ...]:
    """Return the sample coordinates (x, y) in metres of pixel (0, 0) of an object in pixels."""
    return extra.numbers("origin", 2) or (0.0, 0.0)


def _typed(values: NDArray[Any] | None, dtype: Any) -> NDArray[Any] | None:
    return None if values is None else values.astype(dtype, copy=False)


def _pixel_size(contents: Contents, extra: ExtraEntries, settings: Settings, reach: float) -> tuple[float, float]:
    """Return the detector's pixel (y, x) in metres; ``reach`` is wavelength * distance."""
    known = first_given(contents.pixel_size, extra.numbers("pixel_size", 2))
    if known is None and contents.object_pixel is not None and min(contents.object_pixel) > 0:
        (ny, nx), (dy, dx) = contents.frames.shape[1:], contents.object_pixel
        known = reach / (ny * dy), reach / (nx * dx)
    py, px = (length_of(settings, "pixel_size", size, str(extra.array_file.file)) for size in known or (None, None))
    return py, px


def _bad(contents: Contents, extra: ExtraEntries) -> NDArray[np.bool_] | None:
    """Return the bad pixels: the extra mask if it is one for each frame or the format has none, else the format's."""
    extra_mask = extra.array("mask")
    if extra_mask is not None and (contents.bad is None or extra_mask.shape == contents.frames.shape):
        return extra_mask != 0
    return contents.bad


def _probe(contents: Contents, remarks: list[Finding]) -> NDArray[np.complex64] | None:
    """Return the starting probe; None, with the finding W207, if the stored array is not a probe."""
    probe, shape = contents.probe, contents.frames.shape[1:]
    if probe is None:
        return None
    if (
        probe.dtype.kind == "c"
        and probe.ndim == 3
        and probe.shape[1:] == shape
        and np.isfinite(probe).all()
        and len(probe)
    ):
        return probe.astype(np.complex64, copy=False)
    found = describe(probe)
    expected = f"finite complex numbers of shape (modes, {shape[0]}, {shape[1]})"
    remarks.append(finding("W207", "probe", found, expected, "It was ignored"))
    return None


def _positions(
    contents: Contents, extra: ExtraEntries, settings: Settings, pixel: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the positions that were used and the measured ones, each of shape (npos, 3), in metres."""
    count, step = len(contents.frames), np.array([pixel[1], pixel[0], 1.0])
    stored = contents.positions
    if contents.in_pixels and stored.ndim == 2 and stored.shape[1] == 2:
        stored = np.array(_origin(extra)) + stored * step[:2]
    own = columns_of(settings, stored, count, extra.array_file.where(contents.positions_at))
    measured = extra.array("positions", (count, 3), "f")
    exact = measured
    if contents.object is not None:
        exact = first_given(extra.array("used_positions", (count, 3), "f"), measured)
    if exact is not None and (np.abs(exact - own)[:, :2] <= AGREED * step[:2]).all():
        own = exact
    return own, own if contents.object is None or measured is None else measured
