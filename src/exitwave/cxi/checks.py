"""Checks of values for the validator: impossible values are errors, unusual values are warnings."""

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.energy import HIGHEST, LOWEST, compare_wavelength
from exitwave.cxi.frames import name_frames, read_view, readable_frames, unreadable, viewed_shape
from exitwave.cxi.hdf import Source, attribute, whole
from exitwave.errors import InputError
from exitwave.frames import View
from exitwave.positions.grid import object_grid
from exitwave.units import H_C, show

SAMPLE = 16
"""Number of frames that are read in a quick check."""
TYPICAL = {
    "W223": ("energy", ((500.0, 2000.0), (6000.0, 12000.0)), "eV"),
    "W224": ("distance", ((1.0, 5.0),), "m"),
    "W225": ("x_pixel_size", ((50e-6, 75e-6),), "m"),
}
"""Typical values from the specification: entry, ranges, unit."""
TYPICAL_POSITIONS = (200, 5000)
"""Number of positions."""
TYPICAL_DETECTOR = (64, 512)
"""Rows and columns: 256 and 512 in the specification, or these cropped or binned by up to 4."""
TYPICAL_SIZE = 10e9
"""Bytes; the largest file in the specification."""
TOLERANCE = 0.01
"""Relative tolerance of the typical ranges."""
FINITE = (
    "corner_position", "positions", "used_positions", "illumination", "object", "object_x", "object_y", "object_z",
)  # fmt: skip
"""Entries that must not contain NaN or infinity."""
OBJECT_PIXEL = (1e-10, 1e-5)
"""Range of plausible object pixels in metres."""
LARGEST_NEAR_FIELD_PIXEL = 1e-3
"""The same limit in the near field, where a parallel beam makes the object pixel as large as that of the detector."""


def check_values(source: Source, *, quick: bool) -> None:
    """Check the values of a file: energy, lengths, mask, positions, all frames or a sample of them, and the result."""
    _check_energy(source)
    for key in ("distance", "x_pixel_size", "y_pixel_size"):
        value = _number(source, key)
        if value is not None and not (np.isfinite(value) and value > 0):
            source.remark("E115", key, value, "a positive length in metres", "Correct it")
    bad = _check_mask(source)
    for key in FINITE:
        values = _values(source, key)
        if values is not None and not np.isfinite(values).all():
            count = int((~np.isfinite(values)).sum())
            source.remark(
                "E111", key, f"{count} of {values.size} not finite", "finite numbers", "Correct or remove them"
            )
    _check_slices(source)
    _check_scale(source)
    _check_frames(source, bad, quick=quick)
    _check_history(source)


def check_typical(source: Source, size: int) -> None:
    """Add warnings for values outside the typical ranges of the specification; ``size`` is the file size in bytes."""
    for code, (key, ranges, unit) in TYPICAL.items():
        value = _number(source, key)
        possible = value is not None and (key != "energy" or LOWEST <= value <= HIGHEST)
        if value is not None and possible and not any(_within(value, low, high) for low, high in ranges):
            usual = " or ".join(f"{show(low, unit)} to {show(high, unit)}" for low, high in ranges)
            source.remark(code, key, show(value, unit), usual, "Check it, unless it is intended")
    frames = _dataset(source, "frames")
    if frames is not None and frames.ndim == 3:
        npos, ny, nx = viewed_shape(source, frames)
        if not _within(npos, *TYPICAL_POSITIONS):
            usual = "{} to {} positions".format(*TYPICAL_POSITIONS)
            source.remark("W221", "frames", f"{npos} positions", usual, "Check it, unless it is intended")
        if not (_within(ny, *TYPICAL_DETECTOR) and _within(nx, *TYPICAL_DETECTOR)):
            usual = "{} to {} pixels a side".format(*TYPICAL_DETECTOR)
            source.remark("W222", "frames", f"{ny} x {nx} pixels", usual, "Crop or bin the frames if they are larger")
    if size > TYPICAL_SIZE:
        source.remark(
            "W226", "frames", f"{size / 1e9:.1f} GB", f"up to {TYPICAL_SIZE / 1e9:.0f} GB", "Crop, bin or compress"
        )


def is_plausible(pixel: tuple[float, float], *, near: bool) -> bool:
    """Return whether an object pixel (y, x) in metres is plausible, in the near or in the far field."""
    return OBJECT_PIXEL[0] <= min(pixel) <= max(pixel) <= (LARGEST_NEAR_FIELD_PIXEL if near else OBJECT_PIXEL[1])


def _within(value: float, low: float, high: float) -> bool:
    return low * (1 - TOLERANCE) <= value <= high * (1 + TOLERANCE)


def _dataset(source: Source, key: str) -> h5py.Dataset | None:
    """Return a dataset, or None if it is missing or its link is dangling; the check of the table reports both."""
    try:
        return source.dataset(key)
    except InputError:
        return None


def _values(source: Source, key: str) -> NDArray[Any] | None:
    """Return the values of a small numeric dataset, or None."""
    dataset = _dataset(source, key)
    if dataset is None or dataset.dtype.kind not in "biufc" or dataset.shape is None:
        return None
    try:
        return np.asarray(whole(dataset))
    except (OSError, InputError) as error:
        source.remark("E114", key, str(error), "data that can be read", "Copy the file again or repack it with gzip")
        return None


def _number(source: Source, key: str) -> float | None:
    values = _values(source, key)
    return None if values is None or values.size != 1 or values.dtype.kind == "c" else float(values.ravel()[0])


def _check_energy(source: Source) -> None:
    energy = _number(source, "energy")
    if energy is None:
        return
    if LOWEST <= energy <= HIGHEST:
        compare_wavelength(source, energy)
    else:
        remedy = "Write the photon energy in eV"
        source.remark("E109", "energy", f"{energy:g}", f"{LOWEST:g} to {HIGHEST:g} eV", remedy)


def _check_mask(source: Source) -> NDArray[np.bool_] | None:
    mask = _values(source, "mask")
    if mask is None or mask.size == 0:
        return None
    if not np.isin(mask, (0, 1)).all():
        remedy = "Keep 0 and 1 here and the reasons in detectorSpecific/pixel_mask"
        source.remark("E110", "mask", f"values up to {mask.max()}", "0 good, 1 bad", remedy)
    elif mask.mean() > 0.5:
        source.remark(
            "E110",
            "mask",
            f"{mask.mean():.0%} bad pixels",
            "0 good, 1 bad",
            "Invert it, if it has the opposite polarity",
        )
        return None
    return mask != 0


def _check_slices(source: Source) -> None:
    image = _dataset(source, "object")
    if image is not None and image.ndim == 3 and _dataset(source, "object_z") is None:
        source.remark("E101", "object_z", "nothing", "the coordinate of every slice in metres", "Write it")


def _check_scale(source: Source) -> None:
    positions, frames = _values(source, "positions"), _dataset(source, "frames")
    numbers = [_number(source, key) for key in ("energy", "distance", "y_pixel_size", "x_pixel_size")]
    if positions is None or frames is None or positions.ndim != 2 or positions.shape[1] < 2 or frames.ndim != 3:
        return
    if not all(number is not None and number > 0 for number in numbers) or not np.isfinite(positions).all():
        return
    energy, distance, py, px = (number or 1.0 for number in numbers)
    if not LOWEST <= energy <= HIGHEST:  # E109 has reported it
        return
    ny, nx = viewed_shape(source, frames)[1:]
    reach = H_C / energy * distance
    pixel = reach / (ny * py), reach / (nx * px)
    near = bool(_number(source, "near_field"))
    if near:
        z1 = abs(_number(source, "source_distance") or np.inf)
        pixel = py / (1 + distance / z1), px / (1 + distance / z1)
    if not is_plausible(pixel, near=near):
        found, expected = f"{pixel[0]:.3g} m x {pixel[1]:.3g} m", f"0.1 nm to {'1 mm' if near else '10 um'}"
        source.remark("E117", "distance", found, expected, "Check the units of energy, distance and pixel size")
        return
    try:
        object_grid(positions, (ny, nx), pixel)
    except InputError as error:
        source.remark("E116", "positions", error.found, "positions, energy and lengths in m and eV", error.remedy)


def _check_frames(source: Source, bad: NDArray[np.bool_] | None, *, quick: bool) -> None:
    frames = _dataset(source, "frames")
    if frames is None or frames.ndim != 3 or frames.dtype.kind not in "iuf" or frames.size == 0:
        return
    problem = unreadable(frames)
    if problem:
        source.remark("E114", "frames", problem[0], "patterns that can be read", problem[1])
        return
    try:
        view = read_view(source) or View()
        shape = (len(frames), *view.shape(frames.shape[1:]))
    except InputError as error:
        source.remark("E108", "frames_view", error.found, "a view of the patterns, as JSON", error.remedy)
        return
    known = bad is not None and bad.shape in (shape[1:], shape)
    good = np.broadcast_to(~bad if bad is not None and known else True, shape)
    numbers = np.unique(np.linspace(0, len(frames) - 1, SAMPLE).astype(int)) if quick else np.arange(len(frames))
    damaged: list[int] = []
    wrong: list[int] = []
    example = ""
    try:
        for index, frame in readable_frames(frames, numbers):
            if frame is None:
                damaged.append(index)
                continue
            counts = view.apply(frame)[good[index]]
            pixels = int((~np.isfinite(counts) | (counts < 0)).sum())
            if pixels:
                wrong.append(index)
                example = example or f"{pixels} good pixels of frame {index} are negative or not finite"
    except InputError as error:
        source.remark("E114", "frames", f"{error.what} ({error.found})", "patterns that can be read", error.remedy)
    if damaged:
        found = f"{name_frames(damaged)} cannot be read"
        source.remark("E114", "frames", found, "patterns that can be read", "Copy the file again")
    if wrong:
        found = example if len(wrong) == 1 else f"{example}, and pixels of {len(wrong) - 1} more frames"
        source.remark("E112", "frames", found, "counts of 0 or more", "Mask these pixels or set them to 0")


def _check_history(source: Source) -> None:
    try:
        history, iterations = attribute(source, "error_metric"), attribute(source, "iterations")
    except InputError:
        return
    if history is None or iterations is None:
        return
    values = np.atleast_1d(history)
    if np.size(iterations) != 1 or int(np.ravel(iterations)[0]) != values.size:
        found = f"{np.ravel(iterations)[0]} iterations and {values.size} errors"
        source.remark("E113", "iterations", found, "one error for each iteration", "Write the length of error_metric")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        source.remark(
            "E111",
            "error_metric",
            "values that are not finite",
            "finite numbers",
            "The reconstruction has diverged; run it again",
        )
