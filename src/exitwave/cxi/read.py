"""Read a CXI file as a Scan or a Result: check everything but the frames, which stay in the file; convert to SI."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.changed import read_record
from exitwave.cxi.energy import photon_energy
from exitwave.cxi.frames import read_frames
from exitwave.cxi.hdf import Layout, Source, attribute, length, reading, scalar, text, whole
from exitwave.cxi.mask import CHOICES, INSIDE, read_mask, reasons
from exitwave.cxi.probe import probe_of_result, read_probe
from exitwave.cxi.scale import check_scale
from exitwave.cxi.schema import ALSO, BY_KEY, TABLE, path
from exitwave.cxi.shapes import wrong_parts, wrong_shape_of
from exitwave.cxi.translation import read_positions
from exitwave.documents import parse_json
from exitwave.engine.model.detector import DetectorSettings
from exitwave.errors import DAMAGE, InputError, did_you_mean
from exitwave.findings import finding
from exitwave.frames import Frames
from exitwave.frc import FRC
from exitwave.scan import Decision, Detector, NearField, Result, Scan, Truth
from exitwave.units import factor, parse

OVERRIDES = {
    "energy": "8.8keV",
    "distance": "2m",
    "pixel_size": "75um",
    "positions": "um, mm, nm or m",
    "mask": ", ".join(CHOICES),
}
"""The keys of ``overrides``, with an example of each."""

UNUSED = "It was not used; reconstruct or simulate again"
"""Remedy for a part of a model or truth that does not fit."""
DEFAULT_LAYOUT = Layout(paths=ALSO)
"""The paths of the schema, and the paths at which other programs write the same entries."""


def read(
    file: str | Path, overrides: Mapping[str, str] | None = None, layout: Layout = DEFAULT_LAYOUT
) -> Scan | Result:
    """Read a CXI file: a Result where it holds ``image_1/data``, else a Scan. Frames are not read.

    Parameters
    ----------
    file : str or Path
        The file. It is opened read-only, without a lock.
    overrides : mapping of str to str, optional
        Values that replace those of the file: energy, distance, pixel_size, positions (their unit), mask (inverted,
        as-is or none).
    layout : Layout
        The paths of the file's entries.

    Returns
    -------
    Scan or Result
        In SI units, with the reader's remarks in ``findings`` of the scan.

    Raises
    ------
    InputError
        If the file cannot be used as it is. The message has the path in the file and a remedy.
    """
    chosen = dict(overrides or {})
    _check_overrides(chosen)
    with reading(file) as opened:
        source = Source(opened, chosen, layout=layout)
        scan = _scan(source)
        result = _result(source, scan) if source.dataset("object") is not None else None
    scan = replace(scan, findings=tuple(source.remarks))
    return scan if result is None else replace(result, scan=replace(scan, path=scan.patterns.path))


def _check_overrides(overrides: Mapping[str, str]) -> None:
    for key, value in overrides.items():
        if key not in OVERRIDES:
            remedy = did_you_mean(key, (f"{name}={example}" for name, example in OVERRIDES.items()))
            raise InputError(f"Unknown setting: {key}", remedy=remedy)
        if key == "mask" and value not in CHOICES:
            raise InputError(f"Unknown treatment of the mask: {value!r}", remedy=f"Use one of {', '.join(CHOICES)}")
        if key == "positions":
            factor(value, "length")


def _scan(source: Source) -> Scan:
    patterns = read_frames(source)
    positions, missing = read_positions(source, len(patterns))
    left_out = _left_out(source, len(patterns))
    if missing.any():
        left_out |= {"position not finite": tuple(np.flatnonzero(missing).tolist())}
    energy = photon_energy(source)
    detector = _detector(source, patterns)
    for key, value in source.overrides.items():
        entry = {"pixel_size": "x_pixel_size"}.get(key, key)
        source.remark("I304", entry, f"{key}={value}", "the value in the file", "The user has set it")
    scan = Scan(
        patterns=patterns,
        positions=positions,
        energy=energy,
        detector=detector,
        probe=read_probe(source, patterns.shape[1:]),
        name=_text(source, "name") or _text(source, "name_dataset"),
        description=_text(source, "description"),
        instrument=_text(source, "instrument_name"),
        truth=_truth(source, len(patterns)),
        near=_near(source),
        monitor=_monitor(source, len(patterns)),
        left_out=left_out,
        preparation=_decisions(source, "preparation"),
        path=Path(source.file.filename).resolve(),
    )
    return check_scale(scan, source.remarks, source.where("distance"), source.path("positions"))


def _detector(source: Source, patterns: Frames) -> Detector:
    shape = patterns.shape[1:]
    saturation = scalar(source, "saturation_value")
    corner = _array(source, "corner_position", (3,), np.float64)
    pixel_mask = _array(source, "pixel_mask", shape, np.uint32)
    return Detector(
        distance=_length(source, "distance", "distance"),
        pixel_size=(_length(source, "y_pixel_size", "pixel_size"), _length(source, "x_pixel_size", "pixel_size")),
        mask=read_mask(source, patterns.shape),
        corner_position=corner,
        saturation=saturation if saturation is not None and np.isfinite(saturation) else None,
        pixel_mask=reasons(source, shape) if pixel_mask is None else pixel_mask,
        dark=_array(source, "dark", shape, np.float32),
        flat=_array(source, "flat", shape, np.float32),
        countrate_correction_applied=bool(scalar(source, "countrate") or 0),
        flatfield_applied=bool(scalar(source, "flatfield") or 0),
    )


def _near(source: Source) -> NearField | None:
    """Return the near-field geometry, if the file has its flag. Without it, the distance may be to the storage ring."""
    if not scalar(source, "near_field"):
        return None
    distance = scalar(source, "source_distance")
    return NearField(None if distance is None else abs(distance))


def _length(source: Source, key: str, override: str) -> float:
    if override not in source.overrides:
        return length(source, key, override)
    metres = parse(source.overrides[override], "length")
    if not metres > 0:
        found, remedy = source.overrides[override], "Give a length above 0, such as 2m"
        raise InputError("The length must be positive", where=f"--set {override}", found=found, remedy=remedy)
    return metres


def _array(source: Source, key: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any] | None:
    """Return an array of a given shape, the mean if the file has a stack of such arrays, or None if it is missing."""
    dataset = source.dataset(key)
    if dataset is None:
        return None
    stack = dataset.ndim == len(shape) + 1 and dataset.shape[1:] == shape and dataset.dtype.kind in "iuf"
    if not (stack and len(dataset)) and (dataset.shape != shape or dataset.dtype.kind not in "biufc"):
        raise InputError(
            "The array has the wrong shape",
            where=source.where(key),
            found=f"{dataset.dtype} of shape {dataset.shape}",
            remedy=f"Write it with shape {shape}",
        )
    if stack:
        total = np.zeros(shape)
        for frame in dataset:
            total += frame
        return (total / len(dataset)).astype(dtype)
    return np.asarray(whole(dataset)).astype(dtype, copy=False)


def _covered(source: Source, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Return the area that was illuminated, shape (ny, nx): 0 to 1 as stored, or from CXI's bit for it."""
    dataset = source.dataset("object_mask")
    if dataset is None or dataset.dtype.kind not in "iu" or dataset.shape != shape:
        return _array(source, "object_mask", shape, np.float32)
    bits = whole(dataset)
    return ((bits & INSIDE != 0) if (bits > 1).any() else bits != 0).astype(np.float32)


def _truth(source: Source, npos: int) -> Truth | None:
    if source.dataset("true_object") is None:
        return None
    values = {name: _required(source, f"true_{name}") for name in ("object", "x", "y", "probe", "positions")}
    z = source.dataset("true_z")
    model = _model(source, "true_model_", npos)
    truth = Truth(**values, model=model, z=None if z is None else whole(z).astype(np.float64))
    wrong = wrong_shape_of(truth, npos)
    if not wrong:
        return truth
    source.remark("E104", f"true_{wrong}", f"shape {values[wrong].shape}", "the shape of the schema", UNUSED)
    return None


def _required(source: Source, key: str) -> NDArray[Any]:
    dataset = source.dataset(key)
    if dataset is None:
        raise InputError("A part of the truth is missing", where=source.where(key), remedy="Simulate the scan again")
    return np.asarray(whole(dataset)).astype(dataset.dtype.newbyteorder("="), copy=False)


def _result(source: Source, scan: Scan) -> Result:
    image = source.dataset("object")
    assert image is not None
    if image.ndim not in (2, 3) or image.dtype.kind != "c" or min(image.shape) < 2:
        raise InputError(
            "The object is not a complex image",
            where=source.where("object"),
            found=f"{image.dtype} of shape {image.shape}",
            remedy="Write complex64 of shape (ny, nx) or (slices, ny, nx)",
        )
    rows, columns = image.shape[-2:]
    y, x = _coordinates(source, scan, (rows, columns))
    used = _array(source, "used_positions", (len(scan.patterns), 3), np.float64)
    wide = _numbers(source, "wide_probe", "c")
    probe = scan.probe if wide is None else wide.astype(np.complex64, copy=False)
    probe = probe_of_result(source, scan.patterns.shape[1:]) if probe is None else probe
    probe = np.zeros((0, *scan.patterns.shape[1:]), np.complex64) if probe is None else probe
    covered = _covered(source, (rows, columns))
    held_out = _numbers(source, "held_out", "iu")
    return Result(
        scan=scan,
        object=whole(image).astype(np.complex64, copy=False),
        probe=probe,
        x=x,
        y=y,
        positions=scan.positions if used is None else used,
        mask=np.ones((rows, columns), np.float32) if covered is None else covered,
        errors=_history(source, "error_metric"),
        holdout_errors=_history(source, "holdout_error_metric"),
        holdout_deviances=_history(source, "holdout_deviance"),
        held_out=_existing(source, held_out, len(scan.patterns)),
        algorithm=_text(source, "algorithm"),
        recipe=_recipe(source),
        provenance=_provenance(source),
        model=_model(source, "model_", len(scan.patterns), scan.patterns.shape[1:], probe.shape[1:]),
        z=_depths(source, len(image)) if image.ndim == 3 else None,
        choices=_decisions(source, "choices"),
        frc=_frc(source),
        input=read_record(source),
    )


def _existing(source: Source, held_out: NDArray[Any] | None, npos: int) -> NDArray[np.int64]:
    """Return the sorted indices of the held-out frames, without those that do not exist."""
    stored = np.zeros(0, np.int64) if held_out is None else np.unique(held_out.ravel()).astype(np.int64)
    inside = stored[(stored >= 0) & (stored < npos)]
    if len(inside) < len(stored):
        found = f"{len(stored) - len(inside)} frames that do not exist"
        source.remark("E108", "held_out", found, f"indices from 0 to {npos - 1}", "They are ignored")
    return inside


def _frc(source: Source) -> FRC | None:
    """Return the half-scan Fourier ring correlation, or None where the file has none."""
    stored = [_numbers(source, f"frc_{name}", "iuf") for name in ("frequency", "correlation", "threshold")]
    resolution = scalar(source, "frc_resolution")
    if resolution is None or any(data is None for data in stored):
        return None
    frequency, correlation, threshold = (np.asarray(data, np.float64) for data in stored)
    if frequency.ndim != 1 or not frequency.shape == correlation.shape == threshold.shape:
        found = f"{frequency.shape}, {correlation.shape} and {threshold.shape}"
        raise InputError(
            "The arrays of the Fourier ring correlation differ in length",
            where=source.where("frc_frequency"),
            found=f"shapes {found}",
            remedy="Measure it again with exitwave reconstruct --frc",
        )
    limited, halves = bool((correlation >= threshold).all()), _text(source, "frc_halves")
    return FRC(frequency, correlation, threshold, resolution, limited, halves)


def _numbers(source: Source, key: str, kinds: str) -> NDArray[Any] | None:
    """Return an array whose NumPy type is of the given kinds, or None if it is missing."""
    dataset = source.dataset(key)
    if dataset is None:
        return None
    if dataset.dtype.kind not in kinds:
        remedy = "Write numbers, or leave the dataset out"
        raise InputError("The dataset has the wrong type", where=source.where(key), found=dataset.dtype, remedy=remedy)
    return np.asarray(whole(dataset))


def _depths(source: Source, slices: int) -> NDArray[np.float64]:
    """Return the coordinates of the slices along the beam in metres, shape (slices,)."""
    z = _array(source, "object_z", (slices,), np.float64)
    if z is None:
        remedy = "Write the coordinate of every slice along the beam in metres"
        raise InputError("The depth of the slices is missing", where=source.where("object_z"), remedy=remedy)
    return z


def _model(
    source: Source, prefix: str, npos: int, frame: tuple[int, ...] = (), probe: tuple[int, ...] = ()
) -> dict[str, NDArray[Any]]:
    """Return the parts of `Result.model` or `Truth.model` that the file has and whose shapes fit.

    ``npos`` is the number of frames; ``frame`` and ``probe`` are the shapes (ny, nx) of a frame and of the probe, where
    they are known.
    """
    entries = {entry.key.removeprefix(prefix): entry for entry in TABLE if entry.key.startswith(prefix)}
    stored = {name: _numbers(source, entry.key, "iufc") for name, entry in entries.items()}
    found = {name: values.astype(entries[name].dtype) for name, values in stored.items() if values is not None}
    for name in wrong_parts(found, npos, frame, probe):
        expected = f"shape {entries[name].shape}"
        source.remark("E104", entries[name].key, f"shape {found.pop(name).shape}", expected, UNUSED)
    return found


def _coordinates(source: Source, scan: Scan, shape: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, x = _array(source, "object_y", shape[:1], np.float64), _array(source, "object_x", shape[1:], np.float64)
    known = [axis for axis in (y, x) if axis is not None]
    if y is not None and x is not None and all((np.diff(axis) > 0).all() and np.isfinite(axis).all() for axis in known):
        return y, x
    found = "no ascending coordinates" if known else "no coordinates"
    source.remark("I306", "object_x", found, "x and y in metres", "They were centred on the positions")
    centre = (scan.positions.min(axis=0) + scan.positions.max(axis=0)) / 2
    y, x = (
        middle + (np.arange(n) - n // 2) * step
        for middle, n, step in zip((centre[1], centre[0]), shape, scan.object_pixel, strict=True)
    )
    return y, x


def _history(source: Source, key: str) -> NDArray[np.float32]:
    values = attribute(source, key)
    return np.atleast_1d(np.asarray([] if values is None else values)).astype(np.float32)


def _text(source: Source, key: str) -> str:
    """Return the text of an attribute or dataset, or an empty text with W261 if it cannot be read."""
    try:
        return text(attribute(source, key) if BY_KEY[key].kind == "attribute" else source.dataset(key))
    except (InputError, *DAMAGE) as error:
        _not_read(source, source.path(key), error)
        return ""


def _not_read(source: Source, name: str, error: Exception) -> None:
    """Add the finding that a text cannot be read and is not used."""
    remedy = "It was not used; exitwave verify tells whether the file is damaged"
    found = " ".join(str(error).split())[:200]
    source.remarks.append(finding("W261", name, found, "a text that can be read", remedy))


def _recipe(source: Source) -> dict[str, Any]:
    try:
        recipe = dict(_json(source, "recipe", dict) or {})
        detector, stages = recipe.get("detector") or {}, recipe.get("stages") or []
        if not (isinstance(stages, list) and all(isinstance(stage, dict) for stage in stages)):
            raise ValueError("the stages are not a list of settings")
        DetectorSettings(**detector)  # the analysis models the detector with these settings
        return recipe
    except (InputError, *DAMAGE) as error:
        _not_read(source, source.path("recipe"), error)
        return {}


def _decisions(source: Source, key: str) -> tuple[Decision, ...]:
    try:
        return tuple(Decision(**each) for each in _json(source, key, list) or ())
    except (InputError, *DAMAGE) as error:
        _not_read(source, source.path(key), error)
        return ()


def _monitor(source: Source, frames: int) -> NDArray[np.float64] | None:
    """Return the intensity of the beam in every frame, shape (npos,), or None if it is missing or unusable."""
    dataset = source.dataset("monitor")
    if dataset is None:
        return None
    values = np.asarray(whole(dataset)).squeeze()
    if values.shape == (frames,) and values.dtype.kind in "iuf" and np.isfinite(values).all() and (values > 0).all():
        return values.astype(np.float64)
    found = f"{values.dtype} of shape {values.shape}" + (", not all positive" if values.shape == (frames,) else "")
    source.remark("W245", "monitor", found, f"{frames} positive numbers", "It was not used")
    return None


def _left_out(source: Source, frames: int) -> dict[str, tuple[int, ...]]:
    """Return the indices of the frames that are excluded, by the reason."""
    stored = _json(source, "left_out", dict) or {}
    for reason, indices in stored.items():
        if not isinstance(indices, list) or any(not isinstance(i, int) or not 0 <= i < frames for i in indices):
            remedy = f"Give a list of indices from 0 to {frames - 1} for each reason"
            found = f"{reason}: {str(indices)[:80]}"
            raise InputError("The frames do not exist", where=source.where("left_out"), found=found, remedy=remedy)
    return {reason: tuple(indices) for reason, indices in stored.items()}


def _json(source: Source, key: str, kind: type) -> Any:
    """Return the JSON value of a dataset, or None if it is missing."""
    stored = text(source.dataset(key))
    where, remedy = source.where(key), "Remove the dataset, or reconstruct again"
    try:
        value = parse_json(stored) if stored else None
    except ValueError as error:
        raise InputError("The text is not JSON", where=where, found=f"{stored[:80]}: {error}", remedy=remedy) from error
    if value is not None and not isinstance(value, kind):
        what = f"The JSON value is not a {kind.__name__}"
        raise InputError(what, where=where, found=stored[:80], remedy=remedy)
    return value


def _provenance(source: Source) -> dict[str, str]:
    """Return the texts of the process that are no settings, by name; without those that cannot be read, with W261."""
    process, found = source.find("process"), {}
    for name in process if isinstance(process, h5py.Group) else ():
        try:
            thing = process[name]
            if isinstance(thing, h5py.Dataset) and thing.dtype.kind in "OS" and not thing.shape:
                found[name] = text(thing)
        except (InputError, *DAMAGE) as error:
            _not_read(source, f"{path('process')}/{name}", error)
    settings = {BY_KEY[key].name for key in ("recipe", "choices", "frc_halves", "input_files")}
    return {name: value for name, value in found.items() if name not in settings}
