"""Figures of a report: images as PNG and curves as SVG, each in a data URI."""

import base64
import io
from dataclasses import dataclass

import matplotlib as mpl

from exitwave.figures.registry import Caption, Plot
from exitwave.figures.style import look

SCREEN = 220
"""Dots per inch of a PNG in a page, about twice the resolution of a screen."""
_MEDIA = {"png": "image/png", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Picture:
    """A figure in a page."""

    uri: str
    """The figure as a data URI."""
    caption: Caption
    """Its place and text."""


def pictures(plots: list[Plot], sections: tuple[str, ...]) -> dict[str, list[Picture]]:
    """Draw the plots that have a caption.

    Parameters
    ----------
    plots : list of Plot
        The plots of a scan or result.
    sections : tuple of str
        Order of the sections.

    Returns
    -------
    dict of str to list of Picture
        The pictures of every section that has some, by its heading.
    """
    captioned = [(plot, plot.caption) for plot in plots if plot.caption is not None]
    groups = {
        section: [_picture(plot, caption) for plot, caption in captioned if caption.section == section]
        for section in sections
    }
    return {section: group for section, group in groups.items() if group}


def _picture(plot: Plot, caption: Caption) -> Picture:
    """Draw a plot; the same plot gives the same bytes."""
    buffer = io.BytesIO()
    with look():
        mpl.rcParams["svg.hashsalt"] = "exitwave"
        metadata = {"Date": None} if caption.kind == "svg" else None
        plot.draw().savefig(buffer, format=caption.kind, dpi=SCREEN, metadata=metadata)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return Picture(f"data:{_MEDIA[caption.kind]};base64,{encoded}", caption)
