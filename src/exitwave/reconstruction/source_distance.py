"""The distance from the source to the sample in the near field of a cone beam, found from the frames.

The images of two frames are shifted by the step between their positions, divided by the size of a detector pixel on the
sample. This size is detector pixel / M with the magnification M = (z1 + z2) / z1, so that z1 = z2 / (M - 1) for the
distance z2 from sample to detector. The structure of the beam, which does not follow the positions, makes
the shifts appear smaller, by up to a fifth, so that short reconstructions then compare distances around this one.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from exitwave.analysis.diagnosis.near_field import PROPORTIONAL, measure_shifts
from exitwave.errors import InputError
from exitwave.reconstruction.orientation import central_frames
from exitwave.reconstruction.trials import FRAMES, Trials
from exitwave.scan import Decision, NearField, Scan
from exitwave.units import show

PARALLEL = 1.1
"""Magnification up to which the beam is taken to be parallel."""
STEPS = ((0.78, 0.85, 0.92, 1.0, 1.08), (0.97, 0.985, 1.0, 1.015, 1.03))
"""Factors of the distance that are tried, first around the one from the shifts, then around the best."""


def find_source_distance(
    scan: Scan, settings: Mapping[str, Any], announce: Callable[[str], None]
) -> tuple[float | None, Decision]:
    """Return the source distance in metres (None: a parallel beam), with the reason.

    Parameters
    ----------
    scan : Scan
        A near-field scan without a source distance.
    settings : mapping
        Settings of the trials: device, threads, seed.
    announce : callable
        Called with a message before the work.

    Raises
    ------
    InputError
        If the frames do not follow the positions as images of the sample do.
    """
    announce("searching the distance from the source to the sample")
    shifts = measure_shifts(scan)
    if shifts is None or shifts.proportional < PROPORTIONAL:
        found = "no frames" if shifts is None else f"a relation that explains {shifts.proportional:.0%} of the shifts"
        remedy = "Give it, focus to sample, for example --set source_distance=5mm; or leave geometry=near out"
        what = "The near field needs the distance from the source to the sample, and the frames do not show it"
        raise InputError(what, where=str(scan.path or ""), found=found, remedy=remedy)
    pixel, distance = float(np.sqrt(np.prod(scan.detector.pixel_size))), scan.detector.distance
    magnification = pixel / shifts.object_pixel
    if magnification < PARALLEL:
        why = f"the images of neighbouring frames show a magnification of {magnification:.3g}"
        return None, Decision("source distance", "parallel beam", {}, why)
    part, errors = central_frames(scan, FRAMES), dict[float, float]()
    best = distance / (magnification - 1)
    for factors in STEPS:
        for z1 in (best * factor for factor in factors):
            if z1 not in errors:
                tried = Trials(replace(part, near=NearField(z1)), settings).run(1)
                errors[z1] = tried.score.value
        best = min(errors, key=errors.__getitem__)
    why = f"deviance of held-out frames {errors[best]:.4g}; {max(errors.values()):.4g} at the worst distance tried"
    why += f"; the images of neighbouring frames show a magnification of {magnification:.3g}"
    return best, Decision("source distance", show(best, "m", 4), {"source_distance": best}, why)
