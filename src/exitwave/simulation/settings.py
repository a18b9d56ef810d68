"""Settings of a simulated scan, and the ranges in which they make sense."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from exitwave.errors import InputError
from exitwave.simulation.specimens import SPECIMENS

MOST_FRAMES, MOST_PIXELS, MOST_PHOTONS, MOST_MOTION = 10**6, 8192, 1e15, 10.0
"""Largest numbers that are accepted; larger ones are taken for typing errors."""
MOST_SLICES = 64


@dataclass(frozen=True)
class ScanSettings:
    """The scan pattern and the errors of its positions; `simulate` describes each setting."""

    scan: str = "fermat"
    frames: int | None = None
    step: float | None = None
    position_error: float = 0.0
    affine: Sequence[Sequence[float]] | None = None
    fly: float = 0.0


@dataclass(frozen=True)
class ProbeSettings:
    """The probe and its changes from frame to frame; `simulate` describes each setting."""

    photons: float = 2e6
    modes: int = 1
    mode_powers: Sequence[float] | None = None
    probe_drift: float = 0.0
    beam_fluctuation: float = 0.0
    pointing: float = 0.0
    centre: Sequence[float] = (0.0, 0.0)

    @property
    def mode_count(self) -> int:
        """Number of probe modes; that of ``mode_powers`` where these are given."""
        return self.modes if self.mode_powers is None else len(self.mode_powers)


@dataclass(frozen=True)
class DetectorSettings:
    """The detector and its faults; `simulate` describes each setting."""

    detector: int | None = None
    dark: float = 0.0
    background: float = 0.0
    flat: float = 0.0
    blur: float = 0.0
    bad_pixels: float = 0.0
    saturation: float | None = None


@dataclass(frozen=True)
class SampleSettings:
    """The synthetic sample; `simulate` describes each setting."""

    specimen: str = "cells"
    slices: int = 1
    slice_spacing: float | None = None


@dataclass(frozen=True)
class Settings(ScanSettings, ProbeSettings, DetectorSettings, SampleSettings):
    """All settings of `simulate` except the preset."""

    seed: int = 0


def check_settings(settings: Settings, frames: int, side: int, *, near: bool) -> None:
    """Check that all settings are in their ranges.

    Parameters
    ----------
    settings : Settings
        The settings.
    frames : int
        Number of frames, of the settings or the preset.
    side : int
        Pixels along a side of the detector, of the settings or the preset.
    near : bool
        Whether the scan is in the near field.

    Raises
    ------
    InputError
        If a setting is out of its range.
    """
    check(16 <= side <= MOST_PIXELS, "detector", side, f"16 to {MOST_PIXELS} pixels")
    check(2 <= frames <= MOST_FRAMES, "number of frames", frames, f"2 to {MOST_FRAMES}")
    check(settings.seed >= 0, "seed", settings.seed, "0 or more")
    _check_scan(settings)
    _check_sample(settings, near=near)
    _check_probe(settings)
    _check_pointing(settings, side, thick=settings.slices > 1, near=near)
    _check_detector(settings, side)


def check(condition: bool, name: str, found: object, expected: str) -> None:
    """Raise an `InputError` that names the setting and the expected values, unless the condition holds."""
    if not condition:
        raise InputError(f"Cannot simulate with this {name}", found=found, remedy=f"Give {expected}")


def _check_scan(settings: ScanSettings) -> None:
    step, error, affine, fly = settings.step, settings.position_error, settings.affine, settings.fly
    check(step is None or 0 < step < 1, "step", step, "a length in metres, more than 0")
    check(0 <= error < 1, "position error", error, "a length in metres, 0 or more")
    proper = affine is None or (np.shape(affine) == (2, 2) and 0.5 <= np.linalg.det(np.asarray(affine, float)) <= 2)
    check(proper, "affine distortion", affine, "a matrix of shape (2, 2) with a determinant from 0.5 to 2")
    check(0 <= fly <= MOST_MOTION, "motion", fly, f"probe diameters, from 0 to {MOST_MOTION:g}")


def _check_sample(settings: SampleSettings, *, near: bool) -> None:
    specimen, slices, spacing = settings.specimen, settings.slices, settings.slice_spacing
    check(specimen in SPECIMENS, "specimen", specimen, f"one of {', '.join(SPECIMENS)}")
    check(1 <= slices <= MOST_SLICES, "number of slices", slices, f"1 to {MOST_SLICES}")
    check(spacing is None or slices > 1, "slice spacing", spacing, "a number of slices of 2 or more, too")
    check(not near or slices == 1, "number of slices", slices, "1 in the near field")


def _check_probe(settings: ProbeSettings) -> None:
    photons, modes, powers = settings.photons, settings.modes, settings.mode_powers
    drift, fluctuation = settings.probe_drift, settings.beam_fluctuation
    check(modes >= 1, "number of modes", modes, "1 or more")
    if powers is not None:
        good = len(powers) > 0 and min(powers) > 0 and modes in (1, len(powers))
        check(good, "list of mode powers", list(powers), "a power of more than 0 for each mode")
    check(0 < photons <= MOST_PHOTONS, "number of photons", photons, f"more than 0 and up to {MOST_PHOTONS:g}")
    check(0 <= drift < 1, "probe drift", drift, "a fraction of the probe, from 0 to below 1")
    check(0 <= fluctuation < 1, "beam fluctuation", fluctuation, "a fraction of the mean, from 0 to below 1")


def _check_pointing(settings: ProbeSettings, side: int, *, thick: bool, near: bool) -> None:
    pointing, centre = settings.pointing, settings.centre
    check(0 <= pointing < side / 4, "pointing", pointing, "detector pixels, from 0 to a quarter of the detector")
    small = len(centre) == 2 and all(abs(shift) < side / 4 for shift in centre)
    check(small, "centre", tuple(centre), "two numbers of less than a quarter of the detector")
    none = not (pointing or any(centre))
    check(none or not thick, "pointing or centre", (pointing, *centre), "0 for a sample of several slices")
    check(none or not near, "pointing or centre", (pointing, *centre), "0 in the near field")


def _check_detector(settings: DetectorSettings, side: int) -> None:
    saturation, bad_pixels = settings.saturation, settings.bad_pixels
    check(saturation is None or saturation > 0, "saturation", saturation, "more than 0")
    check(0 <= settings.dark <= MOST_PHOTONS, "dark current", settings.dark, "counts, 0 or more")
    check(0 <= settings.background <= MOST_PHOTONS, "background", settings.background, "counts, 0 or more")
    check(0 <= settings.flat < 0.5, "flat field", settings.flat, "a fraction of the mean, from 0 to below 0.5")
    check(0 <= settings.blur < side / 8, "point spread", settings.blur, "pixels, from 0 to an eighth of the detector")
    check(0 <= bad_pixels < 1, "fraction of bad pixels", bad_pixels, "a fraction from 0 to below 1")
