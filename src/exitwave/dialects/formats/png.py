"""``png``: images of amplitude and phase of a result, or of the sum of the frames of a scan."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from exitwave.dialects.dialect import Conventions, Dialect, Written
from exitwave.dialects.formats.tiff import sum_of_frames
from exitwave.outputs import atomic, check_output
from exitwave.scan import Result, Scan, scan_in

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write(data: Scan | Result, target: Path, overwrite: bool) -> Written:
    """Write NAME_amplitude.png and NAME_phase.png of a result, or NAME.png of a scan; all files or none."""
    from exitwave.figures.style import look

    scan = scan_in(data)
    figures = _figures(data)
    ends = dict.fromkeys(figures, "") if len(figures) == 1 else {name: f"_{name}" for name in figures}
    files = {name: target.with_name(f"{target.stem}{end}{target.suffix}") for name, end in ends.items()}
    for file in files.values():
        check_output(file, scan.patterns.path, scan.path, overwrite=overwrite)
    with ExitStack() as stack:
        partials = {name: stack.enter_context(atomic(file, overwrite)) for name, file in files.items()}
        with look():
            for name, figure in figures.items():
                figure.savefig(partials[name], format="png")
    return Written(tuple(files.values()))


def _figures(data: Scan | Result) -> "dict[str, Figure]":
    """Return the figures by the suffix of their file name."""
    from exitwave.figures.object import object_figure
    from exitwave.figures.patterns import sum_figure
    from exitwave.figures.style import SINGLE

    if not isinstance(data, Result):
        return {"sum": sum_figure(data, sum_of_frames(data), width=SINGLE)}
    image, pixel, mask = data.object, data.object_pixel, data.mask
    return {
        "amplitude": object_figure(image, pixel, mask, parts=("amplitude",), width=SINGLE),
        "phase": object_figure(image, pixel, mask, parts=("phase",), width=SINGLE),
    }


DIALECT = Dialect(
    name="png",
    order=160,
    title="PNG images: amplitude and phase, or the sum of the frames, with scale bar and colour bar",
    conventions=Conventions(
        frames="sum of the frames, logarithmic, y upwards",
        object="amplitude and phase of the covered area, phase without constant and ramp, y upwards",
    ),
    write=write,
    suffix=".png",
)
