"""The product of ptychodus: positions, probe and object in one HDF5 or NPZ file; that of pty-chi is the same.

Position to object in ptychodus and pty-chi: a position is the middle of the probe array, (n - 1) / 2, and the centre of
the object lies at pixel (N - 1) / 2. In Exitwave index n//2 of the probe lies on the position. So an even probe makes a
difference of half a pixel, which the centre of the object takes: the model is the same to the last digit.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.dialects.tools.extra_entries import probe_of
from exitwave.errors import Finding
from exitwave.findings import finding
from exitwave.positions.grid import object_grid
from exitwave.scan import Result, Scan, scan_in

POSITIONS = ("probe_position_x_m", "probe_position_y_m")
TRANSLATION = "translation"
"""Name of positions that are columns of one array."""
_ATTRIBUTES = {
    "object@pixel_height_m": "object_pixel_height_m",
    "object@pixel_width_m": "object_pixel_width_m",
    "object@center_x_m": "object_center_x_m",
    "object@center_y_m": "object_center_y_m",
    "probe@pixel_height_m": "probe_pixel_height_m",
    "probe@pixel_width_m": "probe_pixel_width_m",
}
"""What an attribute of an HDF5 file is called in an archive."""


def half_pixel_offset(n: int) -> float:
    """Return by how many pixels the middle of ``n`` pixels, (n - 1) / 2, lies before index n//2."""
    return n // 2 - (n - 1) / 2


def unnormalised_scale(shape: tuple[int, int]) -> float:
    """Return the probe of a unitary Fourier transform of a shape over that of pty-chi's, which is not normalised."""
    return float(np.sqrt(shape[0] * shape[1]))


def origin_pixel(size: int, side: int) -> float:
    """Return the pixel of an object that is pty-chi's position 0, where index n//2 of a probe of ``side`` lies on it.

    By default (``SUPPORT``) it is round(N / 2) - 1/2, counted to the middle of the probe.
    """
    return float(np.round(size / 2)) - 0.5 + half_pixel_offset(side)


def origin_of(x: NDArray[np.float64], y: NDArray[np.float64], shape: tuple[int, int]) -> tuple[float, float]:
    """Return the sample coordinates (x, y) of pty-chi's position 0 on an object, for a probe of ``shape``."""
    sides = zip((x, y), shape[::-1], strict=True)
    column, row = (axis[0] + origin_pixel(axis.size, side) * (axis[1] - axis[0]) for axis, side in sides)
    return float(column), float(row)


def archive_name(name: str) -> str:
    """Return what an entry of an HDF5 product, by its name or that of an attribute, is called in an archive."""
    return _ATTRIBUTES.get(name, name.removeprefix("@"))


def object_of(data: Scan | Result) -> tuple[NDArray[np.complex64], NDArray[np.float64], NDArray[np.float64]]:
    """Return object, x and y of a result; of a scan an object of ones that holds all positions."""
    if isinstance(data, Result):
        return data.object, data.x, data.y
    y, x = object_grid(data.positions, data.patterns.shape[1:], data.object_pixel)
    return np.ones((y.size, x.size), np.complex64), x, y


def product_entries(data: Scan | Result, origin: tuple[float, float] = (0.0, 0.0)) -> dict[str, Any]:
    """Return the entries of a product by their names in an HDF5 file.

    Parameters
    ----------
    data : Scan or Result
        What is written; the positions are those that were used.
    origin : tuple of float
        Sample coordinates (x, y) in metres that become the origin.
    """
    scan = scan_in(data)
    shape = scan.patterns.shape[1:]
    image, x, y = object_of(data)
    positions = data.positions - np.array([*origin, 0.0])
    step = float(y[1] - y[0]), float(x[1] - x[0])
    centre = [
        c.mean() + half_pixel_offset(n) * d - o for c, n, d, o in zip((y, x), shape, step, origin[::-1], strict=True)
    ]
    errors = data.errors if isinstance(data, Result) else np.zeros(0, np.float32)
    probe = probe_of(data)
    power = 0.0 if probe is None else float((np.abs(probe) ** 2).sum())
    values: dict[str, Any] = {
        "@name": scan.name,
        "@comments": scan.description,
        "@detector_object_distance_m": scan.detector.distance,
        "@photon_energy_eV": scan.energy,
        "@probe_photon_count": power,
        "@exposure_time_s": 0.0,
        "@mass_attenuation_m2_per_kg": 0.0,
        "@tomography_angle_deg": 0.0,
        "@tilt_angle_deg": 0.0,
        "@focus_object_distance_m": 0.0,
        "@far_field": scan.near is None,
        "probe_position_indexes": np.arange(len(positions)),
        "probe_position_x_m": positions[:, 0],
        "probe_position_y_m": positions[:, 1],
        "probe": _flat_probe(probe, shape)[None],
        "object": image.reshape(-1, *image.shape[-2:]),
        "object_layer_spacing_m": np.diff(data.z) if isinstance(data, Result) and data.z is not None else np.zeros(0),
        "loss_epochs": np.arange(len(errors)),
        "loss_values": errors.astype(np.float64),
    }
    for axis, name in enumerate(("height", "width")):
        values[f"object@pixel_{name}_m"] = values[f"probe@pixel_{name}_m"] = step[axis]
        values[f"object@center_{'yx'[axis]}_m"] = float(centre[axis])
    return values


def missing_probe(data: Scan | Result) -> list[Finding]:
    """Remark where a product has no probe to hold."""
    if probe_of(data) is not None:
        return []
    return [finding("W253", "probe", "no probe; ones in its place", "a probe", "Give the program one to start with")]


def _flat_probe(probe: NDArray[np.complex64] | None, shape: tuple[int, int]) -> NDArray[np.complex64]:
    """Return a probe as pty-chi scales it; ones where there is none, for the file must have one."""
    return np.ones((1, *shape), np.complex64) if probe is None else probe / np.float32(unnormalised_scale(shape))
