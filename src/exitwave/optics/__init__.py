"""Optics: wavelength and pixel sizes, propagation of waves, probes of lenses, and incoherent probe modes."""

from exitwave.optics.modes import mode_powers, orthogonalise, probe_diameter, starting_modes
from exitwave.optics.multislice import check_spacing, depth_of_focus, exit_wave, numerical_aperture
from exitwave.optics.probes import probe_from_pattern, rectangular_probe, zone_plate_probe
from exitwave.optics.propagate import (
    angular_spectrum,
    angular_spectrum_kernel,
    angular_spectrum_rate,
    fraunhofer,
    fresnel,
    inverse_fraunhofer,
    object_pixel,
    phase_ramp,
    wavelength,
)

__all__ = [
    "angular_spectrum",
    "angular_spectrum_kernel",
    "angular_spectrum_rate",
    "check_spacing",
    "depth_of_focus",
    "exit_wave",
    "fraunhofer",
    "fresnel",
    "inverse_fraunhofer",
    "mode_powers",
    "numerical_aperture",
    "object_pixel",
    "orthogonalise",
    "phase_ramp",
    "probe_diameter",
    "probe_from_pattern",
    "rectangular_probe",
    "starting_modes",
    "wavelength",
    "zone_plate_probe",
]
