"""The master file of an Eiger detector: frames in linked files, and metadata of beam and detector."""

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.hdf import members, reading, resolve
from exitwave.dialects.dialect import Settings
from exitwave.dialects.tools.array_checks import describe
from exitwave.dialects.tools.assemble import energy_of, energy_of_wavelength, length_of, mask_of
from exitwave.dialects.tools.bad_pixel_marks import bad_pixel_value, nexus_bad_pixels, pixels_always_at
from exitwave.dialects.tools.beamline_scan import corner_of, saturation_of
from exitwave.dialects.tools.eiger_links import NAME, LinkedFiles, linked_frames
from exitwave.dialects.tools.hdf5_values import array_at, number_at, quantity_at
from exitwave.errors import InputError
from exitwave.frames import Frames
from exitwave.scan import Detector

GROUPS = ("/entry/data", "/entry")
"""Groups that may hold the links to the frames."""
DETECTOR = "/entry/instrument/detector"
BEAM = "/entry/instrument/beam"
SPECIFIC = f"{DETECTOR}/detectorSpecific"


def is_master(file: Path) -> bool:
    """Return whether a file has the members data_000001, ... and the detector group of a master file."""
    try:
        with reading(file) as opened:
            return _group(opened) is not None and isinstance(resolve(opened, DETECTOR), h5py.Group)
    except InputError:
        return False


def _group(file: h5py.File) -> h5py.Group | None:
    """Return the group with the links to the frames, or None."""
    groups = (resolve(file, name) for name in GROUPS)
    return next((g for g in groups if isinstance(g, h5py.Group) and any(map(NAME.fullmatch, members(g)))), None)


def master_frames(file: h5py.File) -> LinkedFiles:
    """Return the frames that a master file links to, without reading them.

    Raises
    ------
    InputError
        If there are none, or they do not form one stack.
    """
    group = _group(file)
    if group is None:
        remedy = f"Expected data_000001, data_000002, ... in {GROUPS[0]}"
        raise InputError("The file is not the master file of an Eiger detector", where=file.filename, remedy=remedy)
    return linked_frames(group)


def master_energy(file: h5py.File, settings: Settings) -> float:
    """Return the photon energy in eV.

    Raises
    ------
    InputError
        If it is missing or impossible.
    """
    found = quantity_at(file, f"{SPECIFIC}/photon_energy", "energy", "eV")
    if not found:
        found = energy_of_wavelength(quantity_at(file, f"{BEAM}/incident_wavelength", "length", "A"))
    return energy_of(settings, found, f"{file.filename}:{SPECIFIC}/photon_energy")


def master_detector(file: h5py.File, settings: Settings, frames: Frames) -> Detector:
    """Return the detector: geometry, saturation, and bad pixels by NeXus bits and by the mark in their counts.

    Raises
    ------
    InputError
        If distance or pixel size are missing or impossible, or the mask has the wrong shape.
    """
    where, ny, nx = file.filename, *frames.shape[1:]
    distance = length_of(
        settings, "distance", quantity_at(file, f"{DETECTOR}/detector_distance", "length", "m"), f"{where}:{DETECTOR}"
    )
    py, px = (
        length_of(settings, "pixel_size", quantity_at(file, f"{DETECTOR}/{axis}_pixel_size", "length", "m"), where)
        for axis in "yx"
    )
    bits = pixel_mask(file)
    bad = pixels_always_at(frames, bad_pixel_value(frames.dtype))
    if bits is not None and bits.shape == (ny, nx):
        bad |= nexus_bad_pixels(bits)
    elif bits is not None:
        bad = nexus_bad_pixels(bits)  # the wrong shape: mask_of refuses it unless the user sets mask=none
    x, y = (number_at(file, f"{DETECTOR}/beam_center_{axis}") for axis in "xy")
    return Detector(
        distance=distance,
        pixel_size=(py, px),
        mask=mask_of(settings, bad, (ny, nx), f"{where}:{SPECIFIC}/pixel_mask"),
        corner_position=corner_of(x, y, (py, px), distance),
        saturation=saturation_of(number_at(file, f"{DETECTOR}/saturation_value"), bad_pixel_value(frames.dtype)),
        pixel_mask=bits if bits is not None and bits.shape == (ny, nx) else None,
        countrate_correction_applied=bool(number_at(file, f"{DETECTOR}/countrate_correction_applied")),
        flatfield_applied=bool(number_at(file, f"{DETECTOR}/flatfield_correction_applied")),
    )


def pixel_mask(file: h5py.File) -> NDArray[np.uint32] | None:
    """Return the NeXus bits that give the defects of each pixel, shape (ny, nx), or None if there are none."""
    for path in (f"{SPECIFIC}/pixel_mask", f"{DETECTOR}/pixel_mask"):
        stored = array_at(file, path)
        if stored is not None:
            if stored.ndim != 2 or stored.dtype.kind not in "biu":
                raise InputError(
                    "The pixel mask has the wrong type or shape",
                    where=f"{file.filename}:{path}",
                    found=describe(stored),
                    remedy="Ignore it with --set mask=none",
                )
            return stored.astype(np.uint32)
    return None
