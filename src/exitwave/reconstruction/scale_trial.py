"""The scale of the positions: whether pixel size, distance, energy or the unit of the positions is wrong by a factor.

The object pixel is wavelength * distance / (n * detector pixel). If one of these is wrong by a factor, all positions in
pixels of the object are. Short reconstructions of frames in the middle of the scan, with the positions multiplied by
likely factors, give errors that are smallest for the right one, because with any other neighbouring frames contradict
each other.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from exitwave.engine.recipe import Recipe
from exitwave.reconstruction.orientation import FRAMES, central_frames, reconstruct_shortly
from exitwave.scan import Decision, Scan
from exitwave.units import show

FACTORS = (0.25, 1 / 3, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0, 4.0)
"""Factors that are tried."""
FINER = (0.82, 0.9, 1.1, 1.2)
"""Factors that are then tried around the best one, unless that is 1."""
LIKELIER = 1.25
"""A finer factor is better than a likely one only if its error is smaller by this factor. Short reconstructions tell
factors that differ by 10 % apart only roughly: where 0.5 or 2 was right, one of these had up to 1.18 times the error of
a neighbour."""
CLEARLY_BETTER = 0.7
"""Another factor than 1 is reported if its error is below this fraction of the error with 1. Measured: 0.07 to 0.44 for
factors of 0.5, 1.4 and 2 with 1e6 to 1e8 photons in a frame, but 0.97 for 0.7 with 1e5."""


@dataclass(frozen=True)
class Scale:
    """A factor of all positions, and how well it explains the frames."""

    factor: float
    """Factor by which the positions are multiplied."""
    error: float
    """Error metric of a short reconstruction of some frames."""


def rank_scales(
    scan: Scan, *, threads: int | None = None, announce: Callable[[str], None] | None = None
) -> list[Scale]:
    """Rank factors of the positions by the errors of short reconstructions.

    Parameters
    ----------
    scan : Scan
        A far-field scan of a thin sample; at most `orientation.FRAMES` of its frames, around the middle, are read.
    threads : int, optional
        Number of threads; by default one for each core.
    announce : callable, optional
        Called with a message before the work.

    Returns
    -------
    list of Scale
        The best first.
    """
    if announce:
        announce("trying whether pixel size, distance or energy is wrong by a factor")
    part, recipe = central_frames(scan, FRAMES), Recipe(holdout=0, threads=threads)
    middle = part.positions.mean(axis=0)

    def tried(factor: float) -> Scale:
        positions = middle + (part.positions - middle) * factor
        return Scale(factor, reconstruct_shortly(replace(part, positions=positions), recipe)[0])

    found = sorted((tried(factor) for factor in FACTORS), key=lambda each: each.error)
    if found[0].factor != 1:
        found += [tried(found[0].factor * finer) for finer in FINER]
    return sorted(found, key=lambda each: each.error * (1 if each.factor in FACTORS else LIKELIER))


def scale_decision(ranking: list[Scale], scan: Scan) -> Decision:
    """Return the decision about the scale; its settings have the errors, and the values that would be right.

    Nothing is changed. `exitwave.analysis.diagnosis` reports D411 from it.
    """
    best, as_is = ranking[0], next(each for each in ranking if each.factor == 1)
    errors = {f"{each.factor:.3g}": round(each.error, 6) for each in ranking}
    if best.error > CLEARLY_BETTER * as_is.error:
        why = f"error {as_is.error:.3g} on some frames; no other scale of the positions has a clearly smaller error"
        return Decision("scale", "as in the file", {"errors": errors}, why)
    detector, factor = scan.detector, best.factor
    right = {
        "pixel_size": show(detector.pixel_size[1] * factor, "m", 3).replace(" ", "").replace("µ", "u"),
        "distance": show(detector.distance / factor, "m", 3).replace(" ", ""),
        "energy": show(scan.energy * factor, "eV", 3).replace(" ", ""),
    }
    why = f"error {best.error:.3g} on some frames with positions times {factor:.3g}; {as_is.error:.3g} as in the file"
    return Decision(
        "scale", f"wrong by a factor of {factor:.3g}", {"factor": factor, "right": right, "errors": errors}, why
    )
