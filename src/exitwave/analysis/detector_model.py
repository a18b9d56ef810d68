"""The detector model of a scan: calibration of the detector that is modelled instead of corrected in the counts."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.model.detector import DetectorModel, DetectorSettings, ideal
from exitwave.errors import InputError
from exitwave.scan import Scan

LEAST_EFFICIENCY = 0.05
"""A pixel of less efficiency than this fraction of the mean is excluded."""


def detector_model(scan: Scan, settings: DetectorSettings, *, saturated: bool) -> DetectorModel | None:
    """Return the model of a scan's detector, zero frequency at [0, 0]; None: the detector is ideal.

    Parameters
    ----------
    scan : Scan
        The scan. The frames must not contain the pixels that are `insensitive` in its flat field.
    settings : DetectorSettings
        The effects that are modelled.
    saturated : bool
        Whether the scan has saturated pixels.

    Raises
    ------
    InputError
        If the settings require a dark frame or a flat field that the scan does not have, if they model a near-field
        detector, or if saturated pixels of binned frames are to be lower bounds.
    """
    if settings.saturated == "cap" and _binned(scan):
        found = "a bin is marked as saturated if one of its pixels is, and its counts are no lower bound"
        remedy = "Exclude saturated pixels (detector.saturated: exclude), or do not bin the frames"
        raise InputError("Saturated pixels of binned frames cannot be used as lower bounds", found=found, remedy=remedy)
    detector, shape = scan.detector, scan.patterns.shape[1:]
    model = replace(ideal(shape), oversample=settings.oversample, blur=settings.blur)
    plain = model.local
    if settings.background is not None:
        plain, model = False, replace(model, background=_background(scan, settings))
    if (flat := relative_flat_field(scan, settings)) is not None:
        plain, model = False, replace(model, flat=_corner(np.where(insensitive(flat), 1, flat)))
    if settings.saturated == "cap" and saturated and detector.saturation is not None:
        cap = np.full(shape, detector.saturation, np.float32)
        subtracted = detector.dark is not None and settings.background != "dark"
        plain, model = False, replace(model, cap=_corner(detector.without_dark(cap) if subtracted else cap))
    if not plain and scan.near:
        remedy = "Remove the settings of the group detector"
        found = settings.model_dump_json(exclude_defaults=True)
        raise InputError("A near-field detector is not modelled yet", found=found, remedy=remedy)
    return None if plain else model


def _binned(scan: Scan) -> bool:
    """Return whether the pixels of the frames are sums of several detector pixels."""
    view = scan.patterns.view
    return (view is not None and view.bin > 1) or any(step.settings.get("bin", 1) > 1 for step in scan.preparation)


def relative_flat_field(scan: Scan, settings: DetectorSettings) -> NDArray[np.float64] | None:
    """Return the flat field relative to its mean over the good pixels, shape (ny, nx), zero frequency at n//2.

    None if the flat field is not part of the model.

    Raises
    ------
    InputError
        If the settings require a flat field and the scan has none, or one without a good pixel.
    """
    detector = scan.detector
    needless = detector.flat is None or detector.flatfield_applied or scan.near is not None
    if settings.flat is False or (settings.flat is None and needless):
        return None
    if detector.flat is None:
        remedy = "Remove the setting detector.flat"
        raise InputError("The scan has no flat field", where=scan.path or "", found="none", remedy=remedy)
    flat = detector.flat.astype(np.float64)
    good = detector.always_good & np.isfinite(flat) & (flat > 0)
    if not good.any():
        remedy = "Set detector.flat to false"
        raise InputError("The flat field has no good pixel", where=scan.path or "", found="0 or NaN", remedy=remedy)
    return np.asarray(flat / flat[good].mean())


def insensitive(flat: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which pixels of a relative flat field are too insensitive to be used."""
    return ~np.isfinite(flat) | (flat < LEAST_EFFICIENCY)


def _background(scan: Scan, settings: DetectorSettings) -> NDArray[np.float32]:
    """Return the counts without beam, shape (ny, nx), zero frequency at [0, 0]."""
    if settings.background != "dark":
        return np.full(scan.patterns.shape[1:], settings.background, np.float32)
    if scan.detector.dark is None:
        remedy = "Set detector.background to a number of counts, or remove it"
        raise InputError("The scan has no dark frame", where=scan.path or "", found="none", remedy=remedy)
    return _corner(np.maximum(np.nan_to_num(scan.detector.dark), 0))


def _corner(array: NDArray[Any]) -> NDArray[np.float32]:
    """Return a detector array with zero frequency at [0, 0]."""
    return np.ascontiguousarray(np.fft.ifftshift(array), np.float32)
