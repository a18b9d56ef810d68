"""The probe that a reconstruction starts from, where the optics are known: by Fresnel propagation from the lens."""

from dataclasses import asdict, dataclass, replace

import numpy as np

from exitwave.errors import InputError
from exitwave.optics import rectangular_probe, zone_plate_probe
from exitwave.preparation.survey import Progress, survey
from exitwave.scan import Decision, Scan


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
    """From the focus to the sample, positive downstream."""


@dataclass(frozen=True)
class Mirrors:
    """A pair of Kirkpatrick-Baez mirrors; all in metres, pairs are (y, x)."""

    aperture: tuple[float, float]
    """Opening of the mirrors."""
    focal_length: tuple[float, float]
    """From a mirror to its focus."""
    defocus: tuple[float, float] = (0.0, 0.0)
    """From the focus to the sample, positive downstream."""


Optics = ZonePlate | Mirrors


def optics_of(preset: str) -> ZonePlate:
    """Return the zone plate of a beamline: ``2-ID-D`` or ``26-ID``.

    Raises
    ------
    InputError
        If there is no such beamline.
    """
    from exitwave.simulation.presets import PRESETS, Preset

    known = {name: each for name, each in PRESETS.items() if isinstance(each, Preset)}
    if preset not in known:
        raise InputError("Unknown optics", found=repr(preset), remedy=f"Use one of {', '.join(known)}")
    lens = known[preset]
    return ZonePlate(lens.diameter, lens.outermost_zone, lens.central_stop, lens.defocus)


def start_probe(
    scan: Scan, optics: Optics | str, *, counts: float | None = None, progress: Progress | None = None
) -> Scan:
    """Return a scan with the probe that a lens puts on the sample, of the mean counts of a frame.

    Parameters
    ----------
    scan : Scan
        The scan, in the far field; cut and binned as it will be reconstructed.
    optics : ZonePlate, Mirrors or str
        The lens, or the name of a beamline, ``2-ID-D`` or ``26-ID``.
    counts : float, optional
        Counts of a usual frame, the power of the probe; else the frames are looked at.
    progress : callable, optional
        As `survey`.

    Returns
    -------
    Scan

    Raises
    ------
    InputError
        If the lens illuminates more than the detector sees or the beam is wider than the probe's array, the beamline is
        unknown, or the scan is of the near field.
    """
    if scan.near:
        remedy = "Leave the optics out: the probe of a near field is made of the mean image"
        raise InputError("The optics give no probe in the near field", where=scan.path or "", remedy=remedy)
    lens = optics_of(optics) if isinstance(optics, str) else optics
    shape = (scan.patterns.shape[1], scan.patterns.shape[2])
    make = zone_plate_probe if isinstance(lens, ZonePlate) else rectangular_probe
    probe = make(shape, scan.object_pixel, scan.wavelength, **asdict(lens))
    power = float(np.median(survey(scan, progress).sums)) if counts is None else counts
    kind = "zone plate" if isinstance(lens, ZonePlate) else "mirrors"
    why = f"the {kind}{f' of {optics}' if isinstance(optics, str) else ''}, propagated to the sample"
    step = Decision("probe", kind, asdict(lens), why)
    made = (probe * np.sqrt(max(power, 1.0)))[None].astype(np.complex64)
    return replace(scan, probe=made, preparation=(*scan.preparation, step))
