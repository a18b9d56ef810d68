"""Check the shapes of the parts of a model and of a truth, on which the analysis relies."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.scan import Truth

Shape = tuple[int, ...]


def wrong_parts(model: Mapping[str, NDArray[Any]], npos: int, frame: Shape = (), probe: Shape = ()) -> list[str]:
    """Return the names of the parts of a model whose shapes do not fit, and of those that depend on them.

    Parameters
    ----------
    model : mapping of str to ndarray
        As in `exitwave.scan.Result.model`.
    npos : int
        Number of frames.
    frame, probe : tuple of int
        Shapes (ny, nx) of a frame and of the probe; empty if they are unknown.
    """
    modes = len(model["opr_modes"]) if "opr_modes" in model and model["opr_modes"].ndim == 3 else -1
    fits = {
        "probe_factors": lambda shape: shape == (npos,),
        "opr_modes": lambda shape: len(shape) == 3 and (not probe or shape[1:] == probe),
        "opr_weights": lambda shape: shape == (npos, modes),
        "pointing": lambda shape: shape == (npos, 2),
        "background": lambda shape: len(shape) == 2 and (not frame or shape == frame),
        "exposures": lambda shape: len(shape) == 3 and shape[::2] == (npos, 2) and shape[1] > 0,
        "distance": lambda shape: shape == (),
        "assumed_distance": lambda shape: shape == (),
        "motion": lambda shape: shape == (2,),
    }
    wrong = {name for name, values in model.items() if not fits[name](values.shape)}
    pair = {"opr_modes", "opr_weights"}
    if wrong & pair or len(pair & model.keys()) == 1:
        wrong |= pair & model.keys()
    return sorted(wrong)


def wrong_shape_of(truth: Truth, npos: int) -> str:
    """Return the name of the first part of a truth whose shape, type or order does not fit; empty if all do."""
    image, axes = truth.object, {"y": truth.y, "x": truth.x}
    if image.dtype.kind != "c" or image.ndim not in (2, 3) or min(image.shape) < (2 if image.ndim == 2 else 1):
        return "object"
    for (name, axis), length in zip(axes.items(), image.shape[-2:], strict=True):
        if axis.shape != (length,) or axis.dtype.kind not in "iuf" or length < 2 or not (np.diff(axis) > 0).all():
            return name
    if truth.probe.ndim != 3 or truth.probe.dtype.kind != "c" or not truth.probe.size:
        return "probe"
    if truth.positions.shape != (npos, 3) or truth.positions.dtype.kind not in "iuf":
        return "positions"
    return ""
