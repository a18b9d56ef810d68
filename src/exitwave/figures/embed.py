"""Figures inside a page: images as PNG, curves as SVG, each as a data URI that needs no other file."""

import base64
import io
from dataclasses import dataclass
from typing import Literal

import matplotlib as mpl
from matplotlib.figure import Figure

from exitwave.figures.style import look

SCREEN = 220
"""Dots per inch of a PNG in a page: twice as many as most screens have."""


@dataclass(frozen=True)
class Picture:
    """A figure in a page."""

    uri: str
    """The figure itself, as a data URI."""
    alt: str
    """What it shows, for those who do not see it."""
    caption: str
    """What is written below it."""
    wide: bool = False
    """Whether it takes the whole width of the page."""


def picture(
    figure: Figure, alt: str, caption: str, *, kind: Literal["png", "svg"] = "png", wide: bool = False
) -> Picture:
    """Return a figure as a picture: ``png`` for images, ``svg`` for curves. The same figure gives the same bytes."""
    buffer = io.BytesIO()
    with look():
        mpl.rcParams["svg.hashsalt"] = "exitwave"
        figure.savefig(buffer, format=kind, dpi=SCREEN, metadata={"Date": None} if kind == "svg" else None)
    media = {"png": "image/png", "svg": "image/svg+xml"}[kind]
    return Picture(f"data:{media};base64,{base64.b64encode(buffer.getvalue()).decode()}", alt, caption, wide)
