"""Beamline presets, with the typical dimensions of the file schema."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from exitwave.errors import InputError
from exitwave.optics import angular_spectrum_kernel, object_pixel, wavelength, zone_plate_probe
from exitwave.scan import NearField


@dataclass(frozen=True)
class Preset:
    """A far-field beamline: photon energy, detector, zone plate and the usual size of a scan."""

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
    overlap: float = 0.7
    """Linear overlap of neighbours where no step is given."""

    @property
    def near(self) -> None:
        """None: the detector is in the far field."""

    def transfer(self, shape: tuple[int, int]) -> None:
        """Return None: the far field has no transfer function."""

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


@dataclass(frozen=True)
class NearPreset:
    """A near-field beamline: a diffuser and the sample in the cone beam behind a focus; the detector records images."""

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
    source_distance: float
    """Distance from the focus to the sample in metres."""
    beam: float
    """Diameter of the beam, relative to the width of the field of view."""
    grain: float
    """Size of the diffuser's grains in object pixels."""
    phase: float
    """Root mean square of the diffuser's phase in rad."""
    overlap: float
    """Linear overlap of neighbours where no step is given; coarse structures need many images, so it is high."""

    @property
    def near(self) -> NearField:
        """The near field, as a scan describes it."""
        return NearField(self.source_distance)

    def probe(self, shape: tuple[int, int]) -> tuple[NDArray[np.complex128], tuple[float, float]]:
        """Return the probe of unit power, shape (ny, nx), and its pixel (y, x) in metres, for a detector's shape.

        The probe is a disc with a soft rim. Its phase and amplitude are smoothed noise from a fixed seed.
        """
        pixel = self.detector_pixel / self.magnification
        rng, (ny, nx) = np.random.default_rng(1), shape
        noise = gaussian_filter(rng.standard_normal((2, ny, nx)), (0, self.grain / 2, self.grain / 2), mode="wrap")
        noise /= noise.std(axis=(1, 2), keepdims=True)
        rows, columns = (np.arange(n) - n // 2 for n in shape)
        radius = np.hypot(rows[:, None], columns) / (self.beam * min(shape) / 2)
        probe = np.exp(-(radius**8) + 0.2 * noise[0] + 1j * self.phase * noise[1])
        return probe / np.linalg.norm(probe), (pixel, pixel)

    @property
    def magnification(self) -> float:
        """Size of the sample's image on the detector, relative to the sample."""
        return (self.source_distance + self.distance) / self.source_distance

    def transfer(self, shape: tuple[int, int]) -> NDArray[np.complex128]:
        """Return the transfer function from the sample to the detector, shape (ny, nx), zero frequency at [0, 0]."""
        pixel = self.detector_pixel / self.magnification
        length, distance = wavelength(self.energy), self.distance / self.magnification
        return np.asarray(angular_spectrum_kernel(shape, distance, length, (pixel, pixel)), np.complex128)


PRESETS: dict[str, Preset | NearPreset] = {
    # Hard X-rays: window 3.3 um, numerical aperture 2.1 mrad (128 pixels cover 2.4 mrad), probe 1.0 um
    "26-ID": Preset("26-ID", 10_000, 2.0, 75e-6, 256, 400, 160e-6, 30e-9, 80e-6, 280e-6),
    # Soft X-rays: window 8.3 um, numerical aperture 4.4 mrad (128 pixels cover 4.8 mrad), probe 1.3 um
    "2-ID-D": Preset("2-ID-D", 2_000, 1.0, 75e-6, 256, 500, 160e-6, 70e-9, 60e-6, 155e-6),
    # Hard X-rays, magnified 300 times: window 23 um, diffraction spreads a pixel over 4.4 um, beam 14 um, grains 1.1 um
    "near-field": NearPreset("near-field", 12_660, 2.45, 55e-6, 128, 120, 8e-3, 0.6, 6.0, 3.0, 0.92),
}
"""Presets by name."""


def preset(name: str) -> Preset | NearPreset:
    """Return a preset by its name.

    Raises
    ------
    InputError
        If no preset has that name.
    """
    if name not in PRESETS:
        raise InputError("Unknown preset", found=repr(name), remedy=f"Use one of {', '.join(PRESETS)}")
    return PRESETS[name]
