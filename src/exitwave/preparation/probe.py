"""The starting probe from known optics: Fresnel propagation from the lens to the sample."""

from dataclasses import asdict, dataclass, replace

import numpy as np

from exitwave.errors import InputError
from exitwave.optics import rectangular_probe, zone_plate_probe
from exitwave.preparation.survey import Progress, survey_frames
from exitwave.scan import Decision, Scan
from exitwave.simulation.presets import PRESETS, Preset


@dataclass(frozen=True)
class ZonePlate:
    """A Fresnel zone plate with a central stop; all in metres."""

    diameter: float
    """Diameter of the zone plate."""
    outermost_zone: float
    """Width of its outermost zone."""
    central_stop: float = 0.0
    """Diameter of the central stop."""
    defocus: float = 0.0
    """Distance from the focus to the sample, positive downstream."""


@dataclass(frozen=True)
class Mirrors:
    """A pair of Kirkpatrick-Baez mirrors; all in metres, pairs are (y, x)."""

    aperture: tuple[float, float]
    """Opening of the mirrors."""
    focal_length: tuple[float, float]
    """Distance from a mirror to its focus."""
    defocus: tuple[float, float] = (0.0, 0.0)
    """Distance from the focus to the sample, positive downstream."""


Optics = ZonePlate | Mirrors


def optics_of(preset: str) -> ZonePlate:
    """Return the zone plate of a beamline: ``2-ID-D`` or ``26-ID``.

    Raises
    ------
    InputError
        If there is no such beamline.
    """
    known = {name: lens for name, lens in PRESETS.items() if isinstance(lens, Preset)}
    if preset not in known:
        raise InputError("Unknown optics", found=repr(preset), remedy=f"Use one of {', '.join(known)}")
    lens = known[preset]
    return ZonePlate(lens.diameter, lens.outermost_zone, lens.central_stop, lens.defocus)


def set_starting_probe(
    scan: Scan, optics: Optics | str, *, counts: float | None = None, progress: Progress | None = None
) -> Scan:
    """Return a scan whose starting probe is that of a lens, with the counts of a typical frame.

    Parameters
    ----------
    scan : Scan
        The scan, in the far field; cropped and binned as it will be reconstructed.
    optics : ZonePlate, Mirrors or str
        The lens, or the name of a beamline, ``2-ID-D`` or ``26-ID``.
    counts : float, optional
        Power of the probe, in counts; without it the median counts of the frames, which are then read.
    progress : callable, optional
        As in `survey_frames`.

    Returns
    -------
    Scan

    Raises
    ------
    InputError
        If the lens illuminates more than the detector covers, the beam is wider than the probe's array, the beamline is
        unknown, or the scan is in the near field.
    """
    if scan.near:
        remedy = "Omit the optics: in the near field the starting probe is computed from the mean image"
        what = "A starting probe from optics is not available in the near field"
        raise InputError(what, where=scan.path or "", remedy=remedy)
    lens = optics_of(optics) if isinstance(optics, str) else optics
    shape = (scan.patterns.shape[1], scan.patterns.shape[2])
    make = zone_plate_probe if isinstance(lens, ZonePlate) else rectangular_probe
    probe = make(shape, scan.object_pixel, scan.wavelength, **asdict(lens))
    power = float(np.median(survey_frames(scan, progress).sums)) if counts is None else counts
    kind = "zone plate" if isinstance(lens, ZonePlate) else "mirrors"
    why = f"computed from the {kind}{f' of {optics}' if isinstance(optics, str) else ''}, propagated to the sample"
    decision = Decision("probe", kind, asdict(lens), why)
    made = (probe * np.sqrt(max(power, 1.0)))[None].astype(np.complex64)
    return replace(scan, probe=made, preparation=(*scan.preparation, decision))
