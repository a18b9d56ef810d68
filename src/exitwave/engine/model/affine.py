"""The affine image of the scan's positions: what a wrong pixel size, a turned or a sheared stage does to all of them.

With p0 the positions of the scan about their mean, and the parameters scale e, asymmetry a, rotation r and shear s,
those that are free fitted by weighted least squares,

    p = t + (1 + A) p0,   A = e [1 0; 0 1] + a [1 0; 0 -1] + r [0 1; -1 0] + s [0 1; 1 0]   in (row, column)

to first order in the angles. A frame counts as much as it determines its position, det G / tr G of its matrix G of
`positions`, and less the further it is off, as 1 / (1 + (d / 3 m)^2) with m the median of all distances d: Cauchy's
weights, P. W. Holland and R. E. Welsch, Commun. Stat. A 6, 813 (1977).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from exitwave.engine.model.responses import Responses
from exitwave.engine.problem import Problem
from exitwave.engine.settings import Settings

_BASIS = {
    "scale": np.array([[1.0, 0.0], [0.0, 1.0]]),
    "asymmetry": np.array([[1.0, 0.0], [0.0, -1.0]]),
    "rotation": np.array([[0.0, 1.0], [-1.0, 0.0]]),
    "shear": np.array([[0.0, 1.0], [1.0, 0.0]]),
}
_ROUNDS = 5
_HIDING = ("scale", "asymmetry", "shear")
"""What can hide in the curvature and the astigmatism of the probe."""


class Affine(Settings):
    """Which parameters of the affine image are free, and how strongly positions are drawn to it."""

    scale: bool = Field(True, description="one factor along both axes")
    asymmetry: bool = Field(True, description="another factor along rows than along columns")
    rotation: bool = Field(True, description="a rotation")
    shear: bool = Field(True, description="a shear")
    pull: float = Field(
        0.1, gt=0, le=1, description="part of its distance that a frame of mean weight is drawn; 1: all"
    )


class Fit(NamedTuple):
    """An affine image of the scan's positions."""

    positions: NDArray[np.float64]
    """Where the frames are in it, shape (npos, 2)."""
    parameters: dict[str, float]
    """Scale, asymmetry, rotation (radians) and shear (radians) of those that are free."""


def fit(
    nominal: NDArray[np.float64], positions: NDArray[np.float64], weights: NDArray[np.float64], settings: Affine
) -> Fit:
    """Return the affine image of ``nominal`` that comes closest to ``positions``, all of shape (npos, 2)."""
    free = [name for name in _BASIS if getattr(settings, name)]
    about = nominal - np.average(nominal, axis=0, weights=weights)
    columns = [about @ _BASIS[name].T for name in free] + [np.broadcast_to(axis, about.shape) for axis in np.eye(2)]
    matrix = np.stack(columns, axis=-1)
    robust = np.ones(len(nominal))
    for _ in range(_ROUNDS):
        root = np.sqrt(weights * robust)[:, None]
        values = (root[..., None] * matrix).reshape(-1, len(columns)), (root * (positions - about)).ravel()
        found = np.linalg.lstsq(*values, rcond=None)[0]
        image = about + matrix @ found
        distance = np.hypot(*(positions - image).T)
        robust = 1 / (1 + (distance / (3 * np.median(distance) + 1e-9)) ** 2)
    return Fit(image, dict(zip(free, found.tolist(), strict=False)))


def drawn(positions: NDArray[np.float64], told: Responses, settings: Affine, problem: Problem) -> NDArray[np.float64]:
    """Return the positions, each drawn to the affine image of the scan's: the less it is determined, the further."""
    weights = determined(told)
    weights[np.setdiff1d(np.arange(len(weights)), problem.used)] = 0
    weights /= weights[problem.used].mean() + np.finfo(float).tiny
    if not weights.any():
        return positions
    image = fit(problem.scanned, positions, weights, settings).positions
    part = settings.pull if settings.pull == 1 else np.minimum(1, 2 * settings.pull / (1 + weights))[:, None]
    return positions + part * (image - positions)


def bounded(positions: NDArray[np.float64], problem: Problem) -> NDArray[np.float64]:
    """Return the positions without more scale, asymmetry and shear than errors of single frames can make.

    Independent errors of standard deviation s, that of what the fit leaves, make each parameter scatter by
    s / sqrt(sum |p0|^2), and no more is believed: a probe out of focus, or still on its way, asks for more.
    """
    weights = np.zeros(len(positions))
    weights[problem.used] = 1
    about = problem.scanned - np.average(problem.scanned, axis=0, weights=weights)
    image, parameters = fit(problem.scanned, positions, weights, Affine())
    left = float(np.median(np.abs(positions - image)[problem.used])) / 0.6745
    limit = left / max(float(np.linalg.norm(about[problem.used])), 1.0)
    for name in _HIDING:
        value = parameters[name]
        positions = positions - (value - np.clip(value, -limit, limit)) * about @ _BASIS[name].T
    return positions


def determined(told: Responses) -> NDArray[np.float64]:
    """Return how well every frame determines its position, det G / tr G, shape (npos,)."""
    yy, xx, yx = (np.nan_to_num(told.response(name)) for name in ("yy", "xx", "yx"))
    return np.maximum(yy * xx - yx**2, 0) / (yy + xx + np.finfo(float).tiny)
