"""Problems of the positions: overlap, holes, a periodic grid, and a scale that does not fit the beam."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, Delaunay, QhullError

from exitwave.analysis.diagnosis.codes import Diagnosis, make_diagnosis
from exitwave.errors import Level
from exitwave.positions import innermost, neighbour_distance
from exitwave.units import show

LITTLE_OVERLAP, NO_OVERLAP = 0.5, 0.2
"""Linear overlap below which an image is degraded, and below which it cannot be correct."""
SHORT_STEP, LONG_STEP = 0.02, 1.5
"""Steps in beam diameters outside of which the scale of the positions is wrong."""
GAP = 0.4
"""Radius of a circle without a position that is a hole, in beam diameters."""
WIDER = 1.6
"""The same in steps, so that holes are gaps in an otherwise denser scan."""
PERIODIC = 0.8
"""Height of a Bragg peak of the positions: 1 for a perfect grid, 0.4 with random offsets of a quarter of a step."""
NEIGHBOURHOOD = 400
"""Number of positions near the centre that are searched for a grid."""
FINEST = 1500
"""Largest number of frequencies along an axis that are searched for a grid."""


def diagnose_positions(positions: NDArray[np.float64], diameter: float | None) -> Iterator[Diagnosis]:
    """Yield the problems of positions, shape (npos, 3), for a beam diameter in metres (None if unknown)."""
    if len(positions) < 3:
        return
    step = neighbour_distance(positions)
    if diameter:
        yield from _steps(step, diameter)
        yield from _holes(positions, step, diameter)
    peak, period = bragg_peak(positions)
    if peak > PERIODIC:
        yield make_diagnosis("D404", period, f"The period is {show(period, 'm', 3)}.")


def _steps(step: float, diameter: float) -> Iterator[Diagnosis]:
    """Compare the distance between neighbours with the beam diameter."""
    sizes = f"The step is {show(step, 'm', 3)}, and the beam diameter is about {show(diameter, 'm', 3)}"
    overlap = 1 - step / diameter
    if step > LONG_STEP * diameter or step < SHORT_STEP * diameter:
        yield make_diagnosis("D411", step / diameter, f"{sizes}: the step is {step / diameter:.3g} diameters.")
    elif overlap < LITTLE_OVERLAP:
        level: Level | None = "error" if overlap < NO_OVERLAP else None
        yield make_diagnosis("D402", overlap, f"{sizes}: the overlap is {max(overlap, 0):.0%}.", level)


def _holes(positions: NDArray[np.float64], step: float, diameter: float) -> Iterator[Diagnosis]:
    """Find the widest circle without a position inside the scan."""
    radius, centre = widest_gap(positions)
    if radius > GAP * diameter and radius > WIDER * step:
        place, width = f"({show(centre[0], 'm', 3)}, {show(centre[1], 'm', 3)})", show(2 * radius, "m", 3)
        yield make_diagnosis("D403", 2 * radius, f"The widest hole is {width} wide, centred at (x, y) = {place}.")


def widest_gap(positions: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return radius and centre (x, y) of the widest circle without a position whose centre is inside the scan.

    It is the circumcircle of a triangle of the Delaunay triangulation whose centre is inside the convex hull.
    """
    plane = positions[:, :2] - positions[:, :2].mean(axis=0)
    size = float(np.abs(plane).max()) or 1.0
    try:
        mesh = Delaunay(plane / size)
    except QhullError:  # all on a line
        return 0.0, positions[0, :2]
    corners = mesh.points[mesh.simplices]
    b, c = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    twice = 2 * (b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0])
    bb, cc = (b**2).sum(axis=1), (c**2).sum(axis=1)
    flat = np.abs(twice) < 1e-9
    u = np.stack([c[:, 1] * bb - b[:, 1] * cc, b[:, 0] * cc - c[:, 0] * bb], axis=1)
    u /= np.where(flat, np.inf, twice)[:, None]
    centre, radius = corners[:, 0] + u, np.hypot(*u.T)
    hull = ConvexHull(mesh.points).equations
    radius[(centre @ hull[:, :2].T + hull[:, 2] > 1e-9).any(axis=1)] = 0
    widest = int(radius.argmax())
    return float(radius[widest] * size), centre[widest] * size + positions[:, :2].mean(axis=0)


def bragg_peak(positions: NDArray[np.float64]) -> tuple[float, float]:
    """Return the highest |sum exp(i k . r)|^2 / n^2 of the positions away from k = 0, and its period in metres.

    Only positions near the centre of the scan are used, so that a slow drift does not matter. Periods between 0.7 and
    3 steps are searched.
    """
    plane = positions[:, :2]
    nearest = innermost(plane, NEIGHBOURHOOD)
    plane = plane[nearest] - plane[nearest].mean(axis=0)
    step, span = neighbour_distance(positions[nearest]), float(np.ptp(plane, axis=0).max())
    if len(plane) < 16 or step <= 0:
        return 0.0, 0.0
    k = np.arange(0, 1 / (0.7 * step), 0.25 / span)
    if len(k) > FINEST:  # a few positions far from each other
        return 0.0, 0.0
    both = np.concatenate([-k[:0:-1], k])
    rows, columns = (np.exp(2j * np.pi * np.outer(f, axis)) for f, axis in ((both, plane[:, 1]), (k, plane[:, 0])))
    power = np.abs(rows @ columns.T / len(plane)) ** 2
    frequency = np.hypot(both[:, None], k)
    power[frequency < 1 / (3 * step)] = 0
    row, column = np.unravel_index(power.argmax(), power.shape)
    return float(power[row, column]), float(1 / max(frequency[row, column], 1e-300))
