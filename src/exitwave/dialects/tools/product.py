"""The product of ptychodus: positions, probe and object in one HDF5 or NPZ file. pty-chi has the same entries.

In ptychodus and pty-chi a position is that of the middle (n - 1) / 2 of the probe array, and the centre of the object
is at pixel (N - 1) / 2. In Exitwave a position is that of index n//2 of the probe. If n is even, the two differ by half
a pixel. The stored centre of the object is shifted by this half pixel, so that the model is exactly the same.
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
"""Name of the entry for positions that are stored as columns of one array."""
_ATTRIBUTES = {
    "object@pixel_height_m": "object_pixel_height_m",
    "object@pixel_width_m": "object_pixel_width_m",
    "object@center_x_m": "object_center_x_m",
    "object@center_y_m": "object_center_y_m",
    "probe@pixel_height_m": "probe_pixel_height_m",
    "probe@pixel_width_m": "probe_pixel_width_m",
}
"""Names in an NPZ archive of the attributes of an HDF5 product."""


def half_pixel_offset(n: int) -> float:
    """Return the distance in pixels from the middle (n - 1) / 2 of ``n`` pixels to index n//2: 1/2 if n is even."""
    return n // 2 - (n - 1) / 2


def unnormalised_scale(shape: tuple[int, int]) -> float:
    """Return the ratio of a probe for the unitary FFT to pty-chi's probe, whose FFT is not normalised."""
    return float(np.sqrt(shape[0] * shape[1]))


def origin_pixel(size: int, side: int) -> float:
    """Return the object pixel under index n//2 of the probe at pty-chi's position 0.

    By default (``SUPPORT``) the middle of the probe is then at pixel round(N / 2) - 1/2 of the object.

    Parameters
    ----------
    size, side : int
        Number of pixels of object and probe along the axis.
    """
    return float(np.round(size / 2)) - 0.5 + half_pixel_offset(side)


def origin_of(x: NDArray[np.float64], y: NDArray[np.float64], shape: tuple[int, int]) -> tuple[float, float]:
    """Return the sample coordinates (x, y) in metres of pty-chi's position 0, for a probe of ``shape``."""
    sides = zip((x, y), shape[::-1], strict=True)
    column, row = (axis[0] + origin_pixel(axis.size, side) * (axis[1] - axis[0]) for axis, side in sides)
    return float(column), float(row)


def archive_name(name: str) -> str:
    """Return the name in an NPZ archive of an entry or attribute of an HDF5 product."""
    return _ATTRIBUTES.get(name, name.removeprefix("@"))


def object_of(data: Scan | Result) -> tuple[NDArray[np.complex64], NDArray[np.float64], NDArray[np.float64]]:
    """Return object, x and y of a result; for a scan, an object of ones that contains the windows of all positions."""
    if isinstance(data, Result):
        return data.object, data.x, data.y
    y, x = object_grid(data.positions, data.patterns.shape[1:], data.object_pixel)
    return np.ones((y.size, x.size), np.complex64), x, y


def product_entries(data: Scan | Result, origin: tuple[float, float] = (0.0, 0.0)) -> dict[str, Any]:
    """Return the entries of a product by their names in an HDF5 file.

    Parameters
    ----------
    data : Scan or Result
        The scan or result to write; the positions of a result are the refined ones.
    origin : tuple of float
        Sample coordinates (x, y) in metres of the origin of the written positions.
    """
    scan = scan_in(data)
    shape = scan.patterns.shape[1:]
    image, x, y = object_of(data)
    positions = data.positions - np.array([*origin, 0.0])
    step = float(y[1] - y[0]), float(x[1] - x[0])
    centre = [
        axis.mean() + half_pixel_offset(n) * pixel - start
        for axis, n, pixel, start in zip((y, x), shape, step, origin[::-1], strict=True)
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
        "probe": _scaled_probe(probe, shape)[None],
        "object": image.reshape(-1, *image.shape[-2:]),
        "object_layer_spacing_m": np.diff(data.z) if isinstance(data, Result) and data.z is not None else np.zeros(0),
        "loss_epochs": np.arange(len(errors)),
        "loss_values": errors.astype(np.float64),
    }
    for name, axis, pixel, middle in zip(("height", "width"), "yx", step, centre, strict=True):
        values[f"object@pixel_{name}_m"] = values[f"probe@pixel_{name}_m"] = pixel
        values[f"object@center_{axis}_m"] = float(middle)
    return values


def missing_probe(data: Scan | Result) -> list[Finding]:
    """Return a finding (W253) if there is no probe to write."""
    if probe_of(data) is not None:
        return []
    remedy = "Set a starting probe in the program"
    return [finding("W253", "probe", "no probe; ones were written instead", "a probe", remedy)]


def _scaled_probe(probe: NDArray[np.complex64] | None, shape: tuple[int, int]) -> NDArray[np.complex64]:
    """Return the probe as pty-chi scales it; without a probe ones, because the entry is required."""
    return np.ones((1, *shape), np.complex64) if probe is None else probe / np.float32(unnormalised_scale(shape))
