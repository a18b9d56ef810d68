"""Affine transformation of the scan's positions, from a wrong pixel size or a rotated or sheared stage.

With p0 the positions of the scan relative to their mean, the free ones of the parameters scale e, asymmetry a, rotation
r and shear s are fitted by weighted least squares:

    p = t + (1 + A) p0,   A = e [1 0; 0 1] + a [1 0; 0 -1] + r [0 1; -1 0] + s [0 1; 1 0]   in (row, column)

to first order in the angles. The weight of a frame is det G / tr G, with its matrix G of `positions`, multiplied by
1 / (1 + (d / 3 m)^2), with its distance d from the fit and the median m of all distances: Cauchy's weights, P. W.
Holland and R. E. Welsch, Commun. Stat. A 6, 813 (1977).
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
_REWEIGHTINGS = 5
_AMBIGUOUS = ("scale", "asymmetry", "shear")
"""Parameters that a curvature or an astigmatism of the probe can imitate."""


class Affine(Settings):
    """Free parameters of the affine transformation, and the strength of the pull towards it."""

    scale: bool = Field(True, description="fit one factor along both axes")
    asymmetry: bool = Field(True, description="fit different factors along rows and along columns")
    rotation: bool = Field(True, description="fit a rotation")
    shear: bool = Field(True, description="fit a shear")
    pull: float = Field(
        0.1,
        gt=0,
        le=1,
        description="part of its distance from the fit by which a frame of mean weight is moved; 1: onto the fit",
    )


class Fit(NamedTuple):
    """An affine transformation of the scan's positions."""

    positions: NDArray[np.float64]
    """Transformed positions of the frames, shape (npos, 2)."""
    parameters: dict[str, float]
    """Scale, asymmetry, rotation (radians) and shear (radians), as far as they are free."""


def fit(
    nominal: NDArray[np.float64], positions: NDArray[np.float64], weights: NDArray[np.float64], settings: Affine
) -> Fit:
    """Return the affine transformation of ``nominal`` that is closest to ``positions``, both of shape (npos, 2)."""
    free = [name for name in _BASIS if getattr(settings, name)]
    relative = nominal - np.average(nominal, axis=0, weights=weights)
    columns = [relative @ _BASIS[name].T for name in free]
    columns += [np.broadcast_to(axis, relative.shape) for axis in np.eye(2)]
    matrix = np.stack(columns, axis=-1)
    robust = np.ones(len(nominal))
    for _ in range(_REWEIGHTINGS):
        root = np.sqrt(weights * robust)[:, None]
        values = (root[..., None] * matrix).reshape(-1, len(columns)), (root * (positions - relative)).ravel()
        solution = np.linalg.lstsq(*values, rcond=None)[0]
        fitted = relative + matrix @ solution
        distance = np.hypot(*(positions - fitted).T)
        robust = 1 / (1 + (distance / (3 * np.median(distance) + 1e-9)) ** 2)
    return Fit(fitted, dict(zip(free, solution.tolist(), strict=False)))


def pull_to_fit(
    positions: NDArray[np.float64], responses: Responses, settings: Affine, problem: Problem
) -> NDArray[np.float64]:
    """Return the positions, each moved towards the fitted one: the less precise it is, the further."""
    weights = precision(responses)
    weights[np.setdiff1d(np.arange(len(weights)), problem.used)] = 0
    weights /= weights[problem.used].mean() + np.finfo(float).tiny
    if not weights.any():
        return positions
    fitted = fit(problem.scanned, positions, weights, settings).positions
    part = settings.pull if settings.pull == 1 else np.minimum(1, 2 * settings.pull / (1 + weights))[:, None]
    return positions + part * (fitted - positions)


def limit_ambiguous(positions: NDArray[np.float64], problem: Problem) -> NDArray[np.float64]:
    """Return the positions without more scale, asymmetry and shear than independent errors of the frames can cause.

    Independent errors of standard deviation s make each parameter scatter by s / sqrt(sum |p0|^2); s is estimated from
    the residuals of the fit. Larger values are reduced to this limit, because a probe that is out of focus, or has not
    converged yet, produces them too.
    """
    weights = np.zeros(len(positions))
    weights[problem.used] = 1
    relative = problem.scanned - np.average(problem.scanned, axis=0, weights=weights)
    fitted, parameters = fit(problem.scanned, positions, weights, Affine())
    deviation = float(np.median(np.abs(positions - fitted)[problem.used])) / 0.6745
    limit = deviation / max(float(np.linalg.norm(relative[problem.used])), 1.0)
    for name in _AMBIGUOUS:
        value = parameters[name]
        positions = positions - (value - np.clip(value, -limit, limit)) * relative @ _BASIS[name].T
    return positions


def precision(responses: Responses) -> NDArray[np.float64]:
    """Return how precisely the data of every frame determine its position, det G / tr G, shape (npos,)."""
    yy, xx, yx = (np.nan_to_num(responses.response(name)) for name in ("yy", "xx", "yx"))
    return np.maximum(yy * xx - yx**2, 0) / (yy + xx + np.finfo(float).tiny)
