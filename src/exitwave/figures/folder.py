"""All figures of a scan or result, saved in a folder."""

from collections.abc import Sequence
from pathlib import Path

from exitwave.errors import InputError, OutputError
from exitwave.figures.registry import Subject, plots_of
from exitwave.figures.style import save
from exitwave.scan import Result, Scan

FORMATS = ("png", "pdf", "svg", "tiff")
"""File formats of a figure."""


def plot_all(data: Scan | Result, folder: str | Path, *, formats: Sequence[str] = ("png",)) -> list[Path]:
    """Draw every figure that applies to a scan or result, and save them in a folder.

    A scan has figures of its positions, patterns and starting probe. A result has figures of its positions, patterns
    (if the frames are not missing), object, probe, coverage and errors; of the refinement of its positions and the FRC
    of two half scans where they exist; and, if the truth is known, of the comparison with it and of their FRC.

    Parameters
    ----------
    data : Scan or Result
        What to draw.
    folder : str or Path
        Folder of the files; it is created if it does not exist.
    formats : sequence of str
        One or more of png, pdf, svg, tiff.

    Returns
    -------
    list of Path
        The files written. Each is written completely or not at all.

    Raises
    ------
    InputError
        If a format is unknown.
    OutputError
        If the folder cannot be written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise InputError("Unknown figure format", found=unknown[0], remedy=f"Use one of {', '.join(FORMATS)}")
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            "The folder for the figures cannot be created",
            where=target,
            found=error.strerror or error,
            remedy="Choose a folder with write permission: -o DIR",
        ) from error
    named = [plot for plot in plots_of(Subject(data)) if plot.name is not None]
    written = []
    for plot in named:
        figure = plot.draw()
        written += [save(figure, target / f"{plot.name}.{suffix}") for suffix in formats]
    return written
