"""Small image of the phase, for tables of results."""

import base64
import io

import matplotlib as mpl
import numpy as np
from matplotlib.image import imsave
from skimage.transform import resize

from exitwave.analysis.ambiguities import remove_ramp
from exitwave.analysis.rectangles import bounding_box
from exitwave.figures.object import HALF, phase_limits
from exitwave.scan import Result

SIDE = 144
"""Pixels along the longer side."""


def thumbnail(result: Result) -> str:
    """Return the phase of an object without phase ramp as a data URI; slices are multiplied.

    Parameters
    ----------
    result : Result
        The result.

    Returns
    -------
    str
        A PNG of at most `SIDE` pixels along a side, in the proportions of the sample, transparent outside the covered
        area.
    """
    inside = result.mask > 0.5 if np.any(result.mask > 0.5) else np.ones(result.mask.shape, bool)
    box = bounding_box(inside)
    field = result.object.reshape(-1, *result.object.shape[-2:]).prod(0)[box]
    level = remove_ramp(field, inside[box])[0] * inside[box]
    extent = np.array(level.shape) * result.object_pixel
    shape = np.maximum(np.rint(SIDE * extent / extent.max()), 1).astype(int)
    small = resize(level.real, shape, anti_aliasing=True) + 1j * resize(level.imag, shape, anti_aliasing=True)
    phase = np.ma.masked_array(np.angle(small), resize(inside[box].astype(float), shape) < 0.5)
    low, high = phase_limits(phase) if phase.count() else (-np.pi, np.pi)
    colours = (mpl.colormaps["twilight"] if high == np.pi else HALF).with_extremes(bad=(1, 1, 1, 0))
    buffer = io.BytesIO()
    imsave(buffer, phase, cmap=colours, vmin=low, vmax=high, origin="lower", format="png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
