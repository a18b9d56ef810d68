"""The figures of a report, by section, each with a caption and words for those who do not see it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.analysis.compare import Comparison
from exitwave.figures.coverage import coverage_figure
from exitwave.figures.curves import errors_figure, frc_figure
from exitwave.figures.embed import Picture, picture
from exitwave.figures.everything import with_truth
from exitwave.figures.object import object_figure
from exitwave.figures.patterns import patterns_figure
from exitwave.figures.positions import displacements_figure, positions_figure
from exitwave.figures.probe import probe_figure
from exitwave.figures.style import DOUBLE, MICRO
from exitwave.frames import MissingFrames
from exitwave.frc import FRC
from exitwave.optics import mode_powers
from exitwave.scan import Result, Scan
from exitwave.units import show


@dataclass
class Sheets:
    """What a report shows."""

    pictures: dict[str, list[Picture]]
    """The pictures of every section, by its heading."""
    resolution: dict[str, str] = field(default_factory=dict)
    """Resolutions in words, by how they were found."""


def of_scan(scan: Scan) -> Sheets:
    """Return what a scan shows: where and what was measured, and the starting probe."""
    probe = [] if scan.probe is None else [_probe(scan.probe, scan.object_pixel, "Starting probe")]
    return Sheets(
        {
            "Where it was measured": [_positions(scan.positions)],
            "What the detector saw": _patterns(scan),
            "The probe in the file": probe,
        }
    )


def of_result(result: Result) -> Sheets:
    """Return what a result shows: object, probe, convergence, resolution, and where the beam has been."""
    comparison = with_truth(result)
    convergence = [_errors(result)] if len(result.errors) else []
    resolution = {} if result.frc is None else {"resolution": result.frc}
    resolution |= {} if comparison is None else {"resolution, against the truth": comparison.frc}
    probe = [_probe(result.probe, result.object_pixel, "Probe modes")] if len(result.probe) else []
    lit = [_coverage(result)] if len(result.probe) else []
    return Sheets(
        {
            "The object": _object(result),
            "The probe": probe,
            "How well it converged, and to which detail": convergence + _resolution(result.frc, comparison),
            "Where it was measured": [_positions(result.positions), *lit, *_moves(result)],
            "What the detector saw": _patterns(result.scan),
        },
        {name: show(curve.resolution, "m", 3) for name, curve in resolution.items()},
    )


def _object(result: Result) -> list[Picture]:
    pixel, thick = result.object_pixel, result.slices > 1
    rows, columns = result.object.shape[-2:]
    size = f"{rows} x {columns} pixels of {show(pixel[0], 'm', 3)} x {show(pixel[1], 'm', 3)}"
    ramp = "Its constant and its linear part are taken away for display only."
    if thick:
        figure = object_figure(result.object, pixel, result.mask)
        alt = f"Amplitude and phase of {result.slices} slices"
        return [picture(figure, alt, f"Amplitude and phase of {result.slices} slices, {size}.", wide=True)]
    amplitude = object_figure(result.object, pixel, result.mask, parts=("amplitude",), width=DOUBLE / 2)
    phase = object_figure(result.object, pixel, result.mask, parts=("phase",), width=DOUBLE / 2)
    return [
        picture(amplitude, f"Amplitude of the object, {size}", f"Amplitude of the transmission, {size}."),
        picture(phase, f"Phase of the object, {size}", f"Phase of the transmission. {ramp}"),
    ]


def _probe(probe: NDArray[Any], pixel: tuple[float, float], name: str) -> Picture:
    powers = mode_powers(probe)
    share = ", ".join(f"{power:.1%}" for power in powers)
    caption = f"{name}: brightness is the amplitude, colour the phase. Share of the power: {share}."
    return picture(probe_figure(probe, pixel), f"{name} in complex colours", caption, wide=len(powers) > 1)


def _errors(result: Result) -> Picture:
    figure = errors_figure(result.errors, result.holdout_errors)
    words = f"Error metric over {len(result.errors)} iterations, last {result.errors[-1]:.4g}"
    held_out = f"; on frames held out {result.holdout_errors[-1]:.4g}" if len(result.holdout_errors) else ""
    return picture(figure, words + held_out, f"{words}{held_out}. 0 is perfect.", kind="svg")


def _resolution(halves: FRC | None, comparison: Comparison | None) -> list[Picture]:
    shown = [] if halves is None else [_frc(halves, "of two halves of the scan")]
    return shown if comparison is None else [*shown, _frc(comparison.frc, "with the truth", comparison.verdict())]


def _frc(curve: FRC, what: str, words: str = "") -> Picture:
    alt = f"Fourier ring correlation {what}, half period {show(curve.resolution, 'm', 3)}"
    return picture(frc_figure(curve), alt, f"{alt}. {words}".rstrip(), kind="svg")


def _positions(positions: NDArray[np.float64]) -> Picture:
    return picture(
        positions_figure(positions),
        "Scan positions on the sample",
        "Where the probe has been, coloured by the frame's index.",
    )


def _coverage(result: Result) -> Picture:
    area = float(result.mask.sum()) * result.object_pixel[0] * result.object_pixel[1] * MICRO**2
    caption = (
        "Photons that have passed every pixel of the object, in log scale. "
        f"The white line is the edge of what counts as covered, {area:.3g} µm²."
    )
    return picture(coverage_figure(result), "Photons on every pixel of the object", caption)


def _moves(result: Result) -> list[Picture]:
    if not (result.positions != result.scan.positions).any():
        return []
    figure = displacements_figure(result.scan.positions, result.positions)
    words = "How far the positions were refined"
    return [picture(figure, words, f"{words}. All arrows are longer by the same factor.")]


def _patterns(scan: Scan) -> list[Picture]:
    if isinstance(scan.patterns, MissingFrames):
        return []
    caption = "What the detector saw, in log scale: mean and one frame."
    return [picture(patterns_figure(scan), "Mean diffraction pattern and one frame", caption, wide=True)]
