"""Total variation of the object as a prior in `ml`: it reduces the noise of few photons and keeps edges.

For the links D O, the differences of neighbouring pixels along rows and columns, half the negative logarithm of the
prior is

    R(O) = w sum (sqrt(|D O|^2 + e^2) - e),    e = mean |D O|,    w = `WEIGHT` * regularisation / e.

A Laplace distribution of the links, p(D O) ~ exp(-2 |D O| / mean |D O|), has this form with w = 1 / e; two links share
one pixel, and they are correlated, so that `WEIGHT` is smaller. The mean is weighted with the probe density, and is
taken once: at the start of a stage, or, if the object is flat then, after `DELAY` iterations without a prior. R adds to
the loss, which is half the negative log-likelihood of the counts. So its
weight follows from the photons: with many of them it has no effect.

In an iteration R is replaced by its quadratic majorant at the current O, w / 2 sum |D O|^2 / sqrt(|D O|^2 + e^2), which
has the same gradient; a step that reduces the majorant reduces R: D. Geman and C. Yang, IEEE Trans. Image Process. 4,
932 (1995). A common factor of the object, which the probe compensates, is not part of the gradient: otherwise the prior
would shrink the object and enlarge the probe. Total variation as a prior: L. I. Rudin, S. Osher and E. Fatemi, Physica
D 60, 259 (1992); a Gaussian prior in ptychography: P. Thibault and M. Guizar-Sicairos, New J. Phys. 14, 063004 (2012).
"""

from dataclasses import dataclass, replace
from typing import Any

from exitwave.engine import arrays
from exitwave.engine.backend import Sums
from exitwave.engine.parallel.tiles import WholeObject

WEIGHT = 0.4
"""Weight of the prior at regularisation 1. Measured with simulated scans of 3e5, 3e6 and 1e8 photons a frame: the best
weight of each is within a factor of 3 of it."""
FLAT, DELAY = 0.003, 10
"""Mean link relative to the rms of the object below which the object has no structure yet, and iterations without a
prior after such a start."""
TINY = 1e-12
"""Added to denominators that may be 0."""


@dataclass(frozen=True)
class Prior:
    """The prior of one stage."""

    weight: float
    """w."""
    edge: float
    """e."""


@dataclass(frozen=True)
class Majorant:
    """The majorant of R at one object."""

    rows: Any
    """w / (2 sqrt(|D O|^2 + e^2)) of the links between rows, shape (rows - 1, columns)."""
    columns: Any
    """The same of the links between columns, shape (rows, columns - 1)."""
    common: float
    """Part of the gradient along the object, Re <O, g> / <O, O>, which is left out."""


def make_prior(object: Any, density: Any, strength: float, tile: WholeObject) -> Prior | None:
    """Return the prior whose weight follows from the object, or None if the object is flat.

    Parameters
    ----------
    object : array of complex, shape (rows, columns)
        The object.
    density : array of shape (rows, columns)
        The probe density.
    strength : float
        The setting ``regularisation``.
    tile : WholeObject
        The part of the object that this process holds.
    """
    down, right = differences(object, tile)
    weights, own = tile.linked(density), tile.owned(density)
    links = float((weights[: len(down)] * abs(down)).sum() + (own[:, 1:] * abs(right)).sum())
    norm = float(weights[: len(down)].sum() + own[:, 1:].sum())
    power, area = float((own * abs(tile.owned(object)) ** 2).sum()), float(own.sum())
    links, norm, power, area = tile.total(links, norm, power, area)
    mean, rms = links / (norm + TINY), (power / (area + TINY)) ** 0.5
    return Prior(WEIGHT * strength / mean, mean) if mean > FLAT * rms else None


def differences(object: Any, tile: WholeObject) -> tuple[Any, Any]:
    """Return the links that this process counts: to the next row and to the next column."""
    linked = tile.linked(object)
    own = tile.owned(object)
    return linked[1:] - linked[:-1], own[:, 1:] - own[:, :-1]


def add_prior(prior: Prior, object: Any, sums: Sums, tile: WholeObject) -> tuple[Majorant, Sums]:
    """Return the majorant, and the sums plus minus the gradient of R and, to the probe density, its curvature.

    The sums are new arrays, because a backend does not clear what it has not written itself.
    """
    gradient, curvature = arrays.zeros_like(object), arrays.zeros_like(sums.probe_density)
    down, right = object[1:] - object[:-1], object[:, 1:] - object[:, :-1]
    rows, columns = (prior.weight / 2 / (abs(d) ** 2 + prior.edge**2) ** 0.5 for d in (down, right))
    _add_links(gradient, curvature, rows, down, axis=0)
    _add_links(gradient, curvature, columns, right, axis=1)
    gradient, curvature = tile.merged(gradient), tile.merged(curvature)
    common = float(tile.inner(object, gradient)) / float(tile.inner(object, object))
    gradient -= common * object
    gradient += sums.object
    curvature += sums.probe_density
    return Majorant(rows, columns, common), replace(sums, object=gradient, probe_density=curvature)


def _add_links(gradient: Any, curvature: Any, weights: Any, links: Any, axis: int) -> None:
    """Add the part of the links along one axis."""
    first: Any = (slice(None),) * axis + (slice(None, -1),)
    second: Any = (slice(None),) * axis + (slice(1, None),)
    change = weights * links
    gradient[first] += change
    gradient[second] -= change
    curvature[first] += weights
    curvature[second] += weights


def slope_and_curvature(majorant: Majorant, object: Any, direction: Any, tile: WholeObject) -> tuple[float, float]:
    """Return the first and the second derivative of the majorant along a direction, at length 0."""
    slope, curvature = 0.0, 0.0
    weights = tile.linked(majorant.rows), tile.owned(majorant.columns)
    for q, link, change in zip(weights, differences(object, tile), differences(direction, tile), strict=True):
        part = q[: len(link)]
        slope += float((part * (link.conj() * change).real).sum())
        curvature += float((part * abs(change) ** 2).sum())
    slope, curvature = tile.total(slope, curvature)
    return 2 * (slope + majorant.common * float(tile.inner(object, direction))), 2 * curvature
