"""From what a format's own entries say, and what Exitwave has kept beside them, to a Scan or a Result."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.dialects.dialect import Settings
from exitwave.dialects.tools.array_file import ArrayFile
from exitwave.dialects.tools.assemble import columns_of, energy_of, length_of, mask_of, result_of, scan_of
from exitwave.dialects.tools.extra_entries import ExtraEntries
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.frames import Frames
from exitwave.scan import Detector, NearField, Result, Scan
from exitwave.units import H_C

AGREED = 1e-3
"""Object pixels by which positions of a format may differ from those kept beside them in double precision."""


@dataclass
class Contents:
    """What the entries of a format say, in SI units. None: it does not say, so it is kept beside or must be given."""

    frames: Frames
    """Patterns, centred, in counts."""
    positions: NDArray[Any]
    """Centre of the probe, shape (npos, 2 or 3), columns x and y (and z), in metres; those used for a result."""
    positions_at: str
    """Name of the entry of the positions, for messages."""
    in_pixels: bool = False
    """Whether the positions are columns and rows of the object, from its pixel (0, 0), not metres."""
    energy: float | None = None
    """Photon energy in eV."""
    distance: float | None = None
    """Distance of the detector in metres."""
    pixel_size: tuple[float, float] | None = None
    """Pixel of the detector (y, x) in metres."""
    object_pixel: tuple[float, float] | None = None
    """Pixel of the object (y, x) in metres, from which that of the detector follows."""
    bad: NDArray[np.bool_] | None = None
    """Bad pixels, shape (ny, nx) or (npos, ny, nx)."""
    bad_at: str = ""
    """Name of the entry of the mask, for messages."""
    probe: NDArray[Any] | None = None
    """Probe modes, shape (modes, ny, nx), in square roots of counts under a unitary FFT."""
    object: NDArray[Any] | None = None
    """Complex object of a result, row 0 at the smallest y; None: the file holds a scan alone."""
    x: NDArray[np.float64] | None = None
    """Sample coordinates of the object's columns in metres."""
    y: NDArray[np.float64] | None = None
    """Sample coordinates of the object's rows in metres."""
    centre: tuple[float, float] | None = None
    """Sample coordinates (x, y) in metres of the object's pixel N//2, in place of x and y."""
    z: NDArray[np.float64] | None = None
    """Where the slices lie in metres."""
    errors: NDArray[Any] | None = None
    """Error of every iteration."""
    near: NearField | None = None
    """That the frames are images in the near field."""
    name: str = ""
    """Name of the sample."""
    program: str = ""
    """Who reconstructed it."""
    remarks: list[Finding] = field(default_factory=list)
    """What the reader has remarked."""


def first_given(*values: Any) -> Any:
    """Return the first that is not None, or None."""
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
        What it holds.
    count : int, optional
        How many there must be; None: any number.

    Raises
    ------
    InputError
        If there are none, or they are no numbers in two columns.
    """
    fit = values is not None and values.ndim == 2 and values.dtype.kind in "iuf" and values.shape[1] == 2
    if values is None or not fit or (count is not None and len(values) != count):
        seen = "nothing" if values is None else f"{values.dtype} of shape {values.shape}"
        remedy = f"Expected numbers of shape ({'N' if count is None else count}, 2)"
        raise InputError("These are not positions", where=array_file.where(name), found=seen, remedy=remedy)
    return values.astype(np.float64)


def build(found: Contents, extra: ExtraEntries, settings: Settings) -> Scan | Result:
    """Return the scan or the result of a file; what its format says comes first, then what was kept beside it.

    Raises
    ------
    InputError
        If something is missing or impossible, as the functions of `exitwave.dialects.tools.assemble` say.
    """
    file, shape = extra.array_file.file, found.frames.shape[1:]
    energy = energy_of(settings, first_given(found.energy, extra.number("energy")), str(file))
    distance = length_of(settings, "distance", first_given(found.distance, extra.number("distance")), str(file))
    detector = Detector(
        distance=distance,
        pixel_size=_pixel_size(found, extra, settings, H_C / energy * distance),
        mask=mask_of(
            settings,
            _bad(found, extra),
            shape,
            extra.array_file.where(found.bad_at or extra.array_file.prefix + "mask"),
        ),
        corner_position=None if (corner := extra.numbers("corner", 3)) is None else np.array(corner),
        saturation=extra.number("saturation"),
        pixel_mask=_typed(extra.array("pixel_mask", shape, "iu"), np.uint32),
        dark=_typed(extra.array("dark", shape), np.float32),
        flat=_typed(extra.array("flat", shape), np.float32),
        countrate_correction_applied=bool(extra.notes.get("countrate_correction_applied")),
        flatfield_applied=bool(extra.notes.get("flatfield_applied")),
    )
    remarks = list(found.remarks)
    scan = Scan(
        found.frames,
        np.zeros((len(found.frames), 3)),
        energy,
        detector,
        probe=None if found.object is not None else _probe(found, remarks),
        name=found.name or extra.text("name"),
        description=extra.text("description"),
        instrument=extra.text("instrument"),
        near=found.near or extra.near,
        monitor=extra.array("monitor", (len(found.frames),)),
        left_out=extra.left_out(len(found.frames)),
        preparation=extra.preparation,
    )
    used, measured = _positions(found, extra, settings, scan.object_pixel)
    others = {field.name: getattr(scan, field.name) for field in fields(Scan) if field.name in _OTHERS}
    where = found.positions_at
    scan = scan_of(scan.patterns, measured, energy, detector, file=file, where=where, remarks=remarks, **others)
    return scan if found.object is None else _result(found, extra, scan, used)


_OTHERS = ("probe", "name", "description", "instrument", "near", "monitor", "left_out", "preparation")


def _result(found: Contents, extra: ExtraEntries, scan: Scan, used: NDArray[np.float64]) -> Result:
    assert found.object is not None
    if found.object.ndim not in (2, 3):
        shape, remedy = found.object.shape, "Expected (ny, nx) or (slices, ny, nx)"
        raise InputError(
            "The object is not an image", where=extra.array_file.file, found=f"shape {shape}", remedy=remedy
        )
    z = first_given(extra.array("z", found.object.shape[:-2], "f"), found.z) if found.object.ndim == 3 else None
    if found.object.ndim == 3 and z is None:
        remedy = "Take one slice, or their product, and save that"
        raise InputError(
            "The depth of the slices is missing", where=extra.array_file.file, found="slices", remedy=remedy
        )
    probe = np.zeros((0, *scan.patterns.shape[1:]), np.complex64) if found.probe is None else found.probe
    rows, columns = found.object.shape[-2:]
    x, y, (py, px) = found.x, found.y, scan.object_pixel
    if found.in_pixels or found.centre is not None:
        x0, y0 = found.centre or _origin(extra)
        column, row = (columns // 2, rows // 2) if found.centre else (0, 0)
        x, y = x0 + (np.arange(columns) - column) * px, y0 + (np.arange(rows) - row) * py
    result = result_of(
        scan,
        found.object,
        probe,
        x=first_given(extra.array("x", (columns,), "f"), x),
        y=first_given(extra.array("y", (rows,), "f"), y),
        positions=used,
        errors=first_given(found.errors, extra.array("errors", kinds="f")),
        algorithm=extra.text("algorithm"),
        program=extra.text("program") or found.program,
        z=z,
    )
    inside = extra.array("inside", (rows, columns))
    return result if inside is None else replace(result, mask=inside.astype(np.float32))


def _origin(extra: ExtraEntries) -> tuple[float, ...]:
    """Return the sample coordinates (x, y) in metres of pixel (0, 0) of an object in pixels."""
    return extra.numbers("origin", 2) or (0.0, 0.0)


def _typed(values: NDArray[Any] | None, dtype: Any) -> NDArray[Any] | None:
    return None if values is None else values.astype(dtype, copy=False)


def _pixel_size(found: Contents, extra: ExtraEntries, settings: Settings, reach: float) -> tuple[float, float]:
    """Return the detector's pixel (y, x) in metres; ``reach`` is wavelength * distance."""
    known = first_given(found.pixel_size, extra.numbers("pixel_size", 2))
    if known is None and found.object_pixel is not None and min(found.object_pixel) > 0:
        (ny, nx), (dy, dx) = found.frames.shape[1:], found.object_pixel
        known = reach / (ny * dy), reach / (nx * dx)
    py, px = (length_of(settings, "pixel_size", size, str(extra.array_file.file)) for size in known or (None, None))
    return py, px


def _bad(found: Contents, extra: ExtraEntries) -> NDArray[np.bool_] | None:
    """Return the bad pixels: of every frame where that was kept, else as the format says, else as it was kept."""
    kept_mask = extra.array("mask")
    if kept_mask is not None and (found.bad is None or kept_mask.shape == found.frames.shape):
        return kept_mask != 0
    return found.bad


def _probe(found: Contents, remarks: list[Finding]) -> NDArray[np.complex64] | None:
    """Return the starting probe, or None with a remark where what there is cannot be one."""
    probe, shape = found.probe, found.frames.shape[1:]
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
    seen = f"{probe.dtype} of shape {probe.shape}"
    wanted = f"finite complex numbers of shape (modes, {shape[0]}, {shape[1]})"
    remarks.append(finding("W207", "probe", seen, wanted, "It was left aside"))
    return None


def _positions(
    found: Contents, extra: ExtraEntries, settings: Settings, pixel: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the positions that were used and those that were measured, shape (npos, 3), in metres."""
    count, step = len(found.frames), np.array([pixel[1], pixel[0], 1.0])
    stored = found.positions
    if found.in_pixels and stored.ndim == 2 and stored.shape[1] == 2:
        stored = np.array(_origin(extra)) + stored * step[:2]
    own = columns_of(settings, stored, count, extra.array_file.where(found.positions_at))
    measured = extra.array("positions", (count, 3), "f")
    exact = measured if found.object is None else first_given(extra.array("used_positions", (count, 3), "f"), measured)
    if exact is not None and (np.abs(exact - own)[:, :2] <= AGREED * step[:2]).all():
        own = exact
    return own, own if found.object is None or measured is None else measured
