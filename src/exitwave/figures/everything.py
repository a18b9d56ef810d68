"""All figures that a scan or a result allows, in a folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from exitwave.analysis.compare import Comparison, compare
from exitwave.errors import InputError, OutputError
from exitwave.figures.comparison import comparison_figure
from exitwave.figures.coverage import coverage_figure
from exitwave.figures.curves import errors_figure, frc_figure
from exitwave.figures.object import object_figure
from exitwave.figures.patterns import patterns_figure
from exitwave.figures.positions import displacements_figure, positions_figure
from exitwave.figures.probe import probe_figure
from exitwave.figures.style import save
from exitwave.frames import MissingFrames
from exitwave.scan import Result, Scan

FORMATS = ("png", "pdf", "svg", "tiff")
"""What a figure can be written as."""


def plot_all(data: Scan | Result, folder: str | Path, *, formats: Sequence[str] = ("png",)) -> list[Path]:
    """Draw every figure that applies and write it into a folder.

    A scan gives its positions, patterns and starting probe; a result its positions, how far they were refined, its
    patterns, object, probe, coverage and errors, the FRC of two halves of the scan if it was measured, and where the
    truth is known the comparison and the FRC; its patterns only where its frames are not missing.

    Parameters
    ----------
    data : Scan or Result
        What to draw.
    folder : str or Path
        Where to; made if it is not there.
    formats : sequence of str
        One or more of png, pdf, svg, tiff.

    Returns
    -------
    list of Path
        The files written, each whole or not at all.

    Raises
    ------
    InputError
        If a format is unknown.
    OutputError
        If the folder cannot be written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise InputError("Unknown format of a figure", found=unknown[0], remedy=f"Use one of {', '.join(FORMATS)}")
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            "The folder for the figures cannot be made",
            where=target,
            found=error.strerror or error,
            remedy="Choose a folder that you may write to: -o DIR",
        ) from error
    drawings = _of_result(data) if isinstance(data, Result) else _of_scan(data)
    return [save(figure, target / f"{name}.{suffix}") for name, figure in drawings for suffix in formats]


def _of_scan(scan: Scan) -> Iterator[tuple[str, Figure]]:
    yield "positions", positions_figure(scan.positions)
    yield "patterns", patterns_figure(scan)
    if scan.probe is not None:
        yield "probe", probe_figure(scan.probe, scan.object_pixel)


def _of_result(result: Result) -> Iterator[tuple[str, Figure]]:
    yield "positions", positions_figure(result.positions)
    if (result.positions != result.scan.positions).any():
        yield "displacements", displacements_figure(result.scan.positions, result.positions)
    if not isinstance(result.scan.patterns, MissingFrames):
        yield "patterns", patterns_figure(result.scan)
    yield "object", object_figure(result.object, result.object_pixel, result.mask)
    yield "probe", probe_figure(result.probe, result.object_pixel)
    if len(result.probe):
        yield "coverage", coverage_figure(result)
    if len(result.errors):
        yield "errors", errors_figure(result.errors, result.holdout_errors)
    if result.frc is not None:
        yield "frc_halves", frc_figure(result.frc)
    comparison = with_truth(result)
    if comparison is not None:
        yield "comparison", comparison_figure(comparison)
        yield "frc", frc_figure(comparison.frc)


def with_truth(result: Result) -> Comparison | None:
    """Compare with the truth where it is known and on the same pixels, which cropped frames no longer have."""
    try:
        return compare(result)
    except InputError:
        return None
