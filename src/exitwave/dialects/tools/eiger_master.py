"""The master file of an Eiger detector: its frames in linked files, and what it says of beam and detector."""

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.hdf import members, reading, resolve
from exitwave.dialects.dialect import Settings
from exitwave.dialects.tools.assemble import energy_of, energy_of_wavelength, length_of, mask_of
from exitwave.dialects.tools.bad_pixel_marks import bad_pixel_value, nexus_bad_pixels, pixels_always_at
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


def is_master(place: Path) -> bool:
    """Say whether a file has the members data_000001, ... and the detector of a master."""
    try:
        with reading(place) as file:
            return _group(file) is not None and isinstance(resolve(file, DETECTOR), h5py.Group)
    except InputError:
        return False


def _group(file: h5py.File) -> h5py.Group | None:
    groups = (resolve(file, name) for name in GROUPS)
    return next((g for g in groups if isinstance(g, h5py.Group) and any(map(NAME.fullmatch, members(g)))), None)


def master_frames(file: h5py.File) -> LinkedFiles:
    """Return the frames that a master links to, unread.

    Raises
    ------
    InputError
        If there are none, or they cannot be taken for one stack.
    """
    group = _group(file)
    if group is None:
        remedy = f"Expected data_000001, data_000002, ... in {GROUPS[0]}"
        raise InputError("This is not the master file of an Eiger detector", where=file.filename, remedy=remedy)
    return linked_frames(group)


def master_energy(file: h5py.File, settings: Settings) -> float:
    """Return the photon energy in eV.

    Raises
    ------
    InputError
        If it is nowhere, or impossible.
    """
    found = quantity_at(file, f"{SPECIFIC}/photon_energy", "energy", "eV")
    if not found:
        found = energy_of_wavelength(quantity_at(file, f"{BEAM}/incident_wavelength", "length", "A"))
    return energy_of(settings, found, f"{file.filename}:{SPECIFIC}/photon_energy")


def master_detector(file: h5py.File, settings: Settings, frames: Frames) -> Detector:
    """Return the detector: sizes, bad pixels by NeXus bits and by their mark, saturation, where the beam hits it.

    Raises
    ------
    InputError
        If distance or pixel size are missing or impossible, or the mask does not fit.
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
        bad = nexus_bad_pixels(bits)  # of another shape, which is refused where the user does not leave it aside
    x, y = (number_at(file, f"{DETECTOR}/beam_center_{axis}") for axis in "xy")
    limits = [number_at(file, f"{DETECTOR}/saturation_value"), bad_pixel_value(frames.dtype)]
    return Detector(
        distance=distance,
        pixel_size=(py, px),
        mask=mask_of(settings, bad, (ny, nx), f"{where}:{SPECIFIC}/pixel_mask"),
        corner_position=None if x is None or y is None else np.array([x * px, y * py, distance]),
        saturation=min((float(each) for each in limits if each is not None and each > 0), default=None),
        pixel_mask=bits if bits is not None and bits.shape == (ny, nx) else None,
        countrate_correction_applied=bool(number_at(file, f"{DETECTOR}/countrate_correction_applied")),
        flatfield_applied=bool(number_at(file, f"{DETECTOR}/flatfield_correction_applied")),
    )


def pixel_mask(file: h5py.File) -> NDArray[np.uint32] | None:
    """Return the bits that say why pixels are bad, shape (ny, nx), or None where the file has none."""
    for path in (f"{SPECIFIC}/pixel_mask", f"{DETECTOR}/pixel_mask"):
        stored = array_at(file, path)
        if stored is not None:
            if stored.ndim != 2 or stored.dtype.kind not in "biu":
                found = f"{stored.dtype} of shape {stored.shape}"
                raise InputError(
                    "This is not a mask of pixels",
                    where=f"{file.filename}:{path}",
                    found=found,
                    remedy="Leave it aside with --set mask=none",
                )
            return stored.astype(np.uint32)
    return None
