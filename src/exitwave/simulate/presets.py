"""Presets: beamlines with the typical dimensions of the file schema."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError
from exitwave.optics import object_pixel, wavelength, zone_plate_probe


@dataclass(frozen=True)
class Preset:
    """A beamline: photons, detector, zone plate and the usual size of a scan."""

    instrument: str
    """Name of the beamline."""
    energy: float
    """Photon energy in eV."""
    distance: float
    """Distance from the sample to the detector in metres."""
    detector_pixel: float
    """Side of a square detector pixel in metres."""
    detector: int
    """Pixels along a side of the detector."""
    frames: int
    """Number of frames."""
    diameter: float
    """Diameter of the zone plate in metres."""
    outermost_zone: float
    """Width of the zone plate's outermost zone in metres."""
    central_stop: float
    """Diameter of the central stop in metres."""
    defocus: float
    """Distance from the focus to the sample in metres."""

    def probe(self, shape: tuple[int, int]) -> tuple[NDArray[np.complex128], tuple[float, float]]:
        """Return the probe of unit power, shape (ny, nx), and its pixel (y, x) in metres, for a detector's shape.

        Raises
        ------
        InputError
            If the detector is too small for the zone plate.
        """
        length = wavelength(self.energy)
        pixel = object_pixel(length, self.distance, shape, (self.detector_pixel, self.detector_pixel))
        probe = zone_plate_probe(
            shape,
            pixel,
            length,
            diameter=self.diameter,
            outermost_zone=self.outermost_zone,
            central_stop=self.central_stop,
            defocus=self.defocus,
        )
        return np.asarray(probe, np.complex128), pixel


PRESETS = {
    # Hard X-rays: window 3.3 um, numerical aperture 2.1 mrad (128 pixels see 2.4 mrad), probe 1.0 um
    "26-ID": Preset("26-ID", 10_000, 2.0, 75e-6, 256, 400, 160e-6, 30e-9, 80e-6, 280e-6),
    # Soft X-rays: window 8.3 um, numerical aperture 4.4 mrad (128 pixels see 4.8 mrad), probe 1.3 um
    "2-ID-D": Preset("2-ID-D", 2_000, 1.0, 75e-6, 256, 500, 160e-6, 70e-9, 60e-6, 155e-6),
}
"""Presets by name."""


def preset(name: str) -> Preset:
    """Return a preset by its name.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name not in PRESETS:
        raise InputError("Unknown preset", found=repr(name), remedy=f"Use one of {', '.join(PRESETS)}")
    return PRESETS[name]
