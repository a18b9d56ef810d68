"""The verdict on a result: can it be believed, how fine is it, what limits it. In numbers and in plain words."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from exitwave.analysis.error import modelled
from exitwave.analysis.ledger import USED, ledger
from exitwave.frames import MissingFrames
from exitwave.poisson import noise_misfit
from exitwave.positions.coverage import coverage
from exitwave.scan import Result
from exitwave.units import show

TRUSTED = 1.5
"""Held-out error over error, up to which the image is believed."""
BLIND = 0.5
"""Held-out error from which on the image explains too little of the counts to be believed."""
NOISY = 1.5
"""Error over what noise alone leaves, up to which noise is what limits the image."""
QUIET = 0.7
"""The same, below which an error is less than there can be."""
PIXELS = 2**21
"""Detector pixels, in as many frames as have them, times modes, for which the model is computed again."""
FRAMES = (8, 64)
"""Fewest and most frames for that."""
FAINT = 1.0
"""Mean counts of a pixel and frame below which two halves may be wrong in the same way."""
LIT = 0.1
"""Intensity within the probe, relative to its maximum."""
Grade = Literal["good", "poor", "unknown"]


@dataclass(frozen=True)
class Verdict:
    """What a result is worth. Lengths in metres, None for what is not known."""

    grade: Grade
    """good: it explains frames that it has never seen; poor: it does not; unknown: no frame was held out."""
    error: float | None
    """Error metric of the frames that were used."""
    holdout_error: float | None
    """The same of those held out."""
    held_out: int
    """Number of frames held out."""
    noise_error: float | None
    """Error metric that photon noise alone leaves: that of a perfect model."""
    above_noise: float | None
    """Error metric over that, on the same frames."""
    counts: float | None
    """Mean counts of a pixel in a frame."""
    resolution: float | None
    """Half period down to which two halves of the scan agree."""
    halves: str
    """What of the scan was halved for that, counts or frames; empty where nothing was, or it is not known."""
    limited_by_pixel: bool
    """Whether that is the pixel size."""
    area: float
    """Area on the sample that the beam has covered, in square metres."""
    probes: tuple[float, float]
    """Probes that have lit a covered pixel: of the thinnest 5 %, and median."""
    photons: tuple[float, float]
    """Photons on a covered pixel: of the faintest 5 %, and median."""
    photons_per_resolution: float | None
    """Median photons on a square of the resolution."""
    modes: int
    """Probe modes."""

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers and the words, for ``--json``."""
        return asdict(self) | {"words": self.words()}

    def words(self) -> list[str]:
        """Return the verdict in two to five short sentences."""
        return [self._worth(), self._finest(), self._limit(), self._dose()]

    def _worth(self) -> str:
        if self.error is None:
            return "Nothing is known about how the image was made."
        if self.holdout_error is None:
            return (
                f"The image leaves an error of {self.error:.3g} (0 is perfect), but no frame was held out, so nothing "
                "tells whether it explains more than its own data."
            )
        both = f"an error of {self.holdout_error:.3g} on {_count(self.held_out, 'frame')} that it has never seen"
        if self.grade == "good":
            return f"The image is good: {both}, {self.error:.3g} on its own."
        if self.holdout_error > TRUSTED * self.error:
            fewer = "use fewer modes; " if self.modes > 1 else ""
            ratio = self.holdout_error / max(self.error, 1e-12)
            return (
                f"Do not trust the details of the image: {both}, {ratio:.2g} times that on its own ({self.error:.3g}). "
                f"Check positions and geometry; {fewer}scan with more overlap."
            )
        return (
            f"Do not trust the image: {both}, {self.error:.3g} on its own, explains little of either. "
            "Check positions, geometry, mask and starting probe; count more photons."
        )

    def _finest(self) -> str:
        if self.resolution is None:
            return "How fine it is was not measured: exitwave reconstruct --frc does."
        bound = ", the size of a pixel: it may be finer still" if self.limited_by_pixel else ""
        faint = ""
        if self.counts is not None and self.counts < FAINT:
            faint = f" With {self.counts:.2g} counts a pixel and frame, coarse structure may be wrong in both."
        what, detail = self.halves or "scan", show(self.resolution, "m", 3)
        return f"Two halves of the {what} agree down to a half period of {detail}{bound}.{faint}"

    def _limit(self) -> str:
        if self.above_noise is None or self.noise_error is None:
            return "What noise alone would leave is unknown, for the frames are missing."
        words = f"Photon noise alone would leave an error of {self.noise_error:.3g}"
        if self.above_noise < QUIET:
            return f"{words}; this is less: the counts are not single photons, or the image has learned their noise."
        if self.above_noise <= NOISY:
            return f"{words}; this is {self.above_noise:.2g} times as much, so only more photons would make it better."
        return (
            f"{words}; this is {self.above_noise:.2g} times as much: more iterations, modes, or refined positions may "
            "make it better."
        )

    def _dose(self) -> str:
        dose = ""
        if self.photons_per_resolution is not None:
            dose = f", {self.photons_per_resolution:.3g} on a square of the resolution"
        return (
            f"The beam covered {self.area * 1e12:.3g} µm², every pixel about {self.probes[1]:.0f} times "
            f"({self.probes[0]:.0f} at the thinnest), with {self.photons[1]:.3g} photons on a pixel{dose}."
        )


def verdict(result: Result) -> Verdict:
    """Judge a result.

    Parameters
    ----------
    result : Result
        Its model is computed again for some of its frames, to tell what noise alone leaves of the error.

    Returns
    -------
    Verdict

    Raises
    ------
    InputError
        If a position lies outside the object.
    """
    error, held_out = (float(each[-1]) if len(each) else None for each in (result.errors, result.holdout_errors))
    alone, above, counts = noise(result)
    probes, photons, area = _coverage(result)
    frc, pixel = result.frc, result.object_pixel
    squares = None if frc is None else frc.resolution**2 / (pixel[0] * pixel[1])
    return Verdict(
        grade=_grade(error, held_out),
        error=error,
        holdout_error=held_out,
        held_out=len(result.held_out),
        noise_error=alone,
        above_noise=above,
        counts=counts,
        resolution=None if frc is None else frc.resolution,
        halves="" if frc is None else frc.halves,
        limited_by_pixel=frc is not None and frc.limited_by_pixel,
        area=area,
        probes=probes,
        photons=photons,
        photons_per_resolution=None if squares is None else photons[1] * squares,
        modes=len(result.probe),
    )


def _grade(error: float | None, held_out: float | None) -> Grade:
    if error is None or held_out is None or not math.isfinite(error + held_out):
        return "unknown"
    return "good" if held_out <= min(TRUSTED * error, BLIND) else "poor"


def sample_of(result: Result) -> NDArray[np.int64]:
    """Return the used frames, evenly spread, for which the model of a result is computed again."""
    used = ledger(result)[USED]
    number = int(np.clip(PIXELS // max(result.probe.size, 1), *FRAMES))
    return used[np.unique(np.linspace(0, len(used) - 1, number).astype(int))] if len(used) else used


def noise(result: Result) -> tuple[float | None, float | None, float | None]:
    """Return the error metric that noise alone leaves, the metric over it, and the mean counts, of the same frames."""
    if isinstance(result.scan.patterns, MissingFrames) or not len(result.probe):
        return None, None, None
    sums, pixels = np.zeros(3), 0
    for each in modelled(result, sample_of(result)):
        counts, model = each.counts[each.good].astype(np.float64), each.model[each.good]
        misfit = ((np.sqrt(counts) - np.sqrt(model)) ** 2).sum()
        sums += misfit, noise_misfit(model).sum(), counts.sum()
        pixels += counts.size
    apart, alone, total = (float(value) for value in sums)
    if not (total > 0 and alone > 0):
        return None, None, None
    return alone / total, apart / alone, total / pixels


def _coverage(result: Result) -> tuple[tuple[float, float], tuple[float, float], float]:
    """Return probes and photons (of the least lit 5 %, median) on covered pixels, and their area in square metres."""
    pixel, grid, inside = result.object_pixel, (result.y, result.x), result.mask > 0.5
    used = result.positions[ledger(result)[USED]]
    intensity = np.sum(np.abs(result.probe) ** 2, axis=0)
    if not (inside.any() and intensity.any() and len(used)):
        return (0.0, 0.0), (0.0, 0.0), 0.0
    footprint = (intensity > LIT * intensity.max()).astype(np.complex64)
    maps = [coverage(used, wave, pixel, grid)[2][inside] for wave in (footprint, result.probe)]
    probes, photons = ((float(np.quantile(each, 0.05)), float(np.median(each))) for each in maps)
    return probes, photons, float(inside.sum()) * pixel[0] * pixel[1]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
