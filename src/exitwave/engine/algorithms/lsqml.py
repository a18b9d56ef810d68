"""LSQ-ML: least-squares steps whose lengths are optimised for object and probe together, in batches.

For every batch B of frames, with the corrections chi_jk = psi'_jk - psi_jk of the exit waves, the directions are those
of rPIE, and the lengths along them minimise the remaining correction of the batch:

    dO   = sum_jk conj(P_k) chi_jk / ((1 - alpha) sum_jk |P_k|^2 + alpha max sum_jk |P_k|^2)
    dP_k = sum_j  conj(O_j) chi_jk / ((1 - alpha) sum_j  |O_j|^2 + alpha max sum_j  |O_j|^2)

    (s, t) = argmin over real s, t of sum_jk ||chi_jk - s dO_j P_k - t dP_k O_j||^2

    O   <- O   + step_O * s * dO
    P_k <- P_k + step_P * t * dP_k

M. Odstrcil, A. Menzel and M. Guizar-Sicairos, Opt. Express 26, 3108 (2018), eq. 22 to 25, who solve this for every
frame and average. Solving it for the whole batch gives lengths within some percent of these and the same errors, and
its normal equations need no correction of a single frame: except for the overlap of dO P and dP O
(`Backend.cross_term`), they follow from the sums that give the directions. They are derived for real lengths, because
(s, t) are real.

Random and sparse batches are used one after the other, with `momentum`. Compact batches, the pieces of the field of
view, are used together: their sums give one step in an iteration, with the shortest of the lengths of the batches. The
steps are accelerated (Y. Nesterov, Dokl. Akad. Nauk SSSR 269, 543 (1983)) with restarts (B. O'Donoghue and E. Candes,
Found. Comput. Math. 15, 715 (2015)). This needs more iterations, and ends with less noise.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exitwave.engine import arrays
from exitwave.engine.algorithms.algorithm import Algorithm
from exitwave.engine.algorithms.batches import batches
from exitwave.engine.algorithms.momentum import NO_MOMENTA, Momenta, active_momenta, apply_momenta, velocity_of
from exitwave.engine.algorithms.step_decay import shortened
from exitwave.engine.algorithms.steps import active_step
from exitwave.engine.backend import Backend, Misfit, Step, Sums
from exitwave.engine.parallel.tiles import WholeObject
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import QuantityMemory, State

OBJECT, PROBE = Step(0.5, 0.3), Step(1.0, 0.1)
"""Default length and alpha of the steps. Where a frame overlaps no other, the object alone can account for its
correction, so that too little of it remains for the probe; therefore the probe has the longer step."""
ETA, PERIOD = 0.9, 2
"""The momentum eta, and the batches T between two applications of it; see `momentum`."""
COMPACT_OBJECT, COMPACT_PROBE = Step(0.65, 0.05), Step(0.9, 0.1)
"""Default length and alpha of the steps with compact batches."""
BATCHES, COMPACT_BATCHES = 8, 6
"""Default number of batches in an iteration. It determines how many frames of a batch overlap."""
SMALLEST_BATCH = 8
"""Smallest number of frames in a batch, if the stage does not set it."""
CROSS_TERM_FRAMES = 8
"""Smallest number of frames from which the cross term of a batch is estimated."""
DAMPING = 0.1
"""Added to the diagonal of the normal equations, relative to the mean of the diagonal."""


class Steps(NamedTuple):
    """The steps of an iteration; None: the quantity is not updated."""

    object: Step | None
    probe: Step | None


@dataclass
class AcceleratedPoint:
    """A quantity before the extrapolation of an iteration."""

    array: NDArray[Any]
    count: int
    """Iterations since the last restart."""


@dataclass
class LsqMlMemory(QuantityMemory):
    """The `momentum.Momentum` of object and probe; with compact batches the last `AcceleratedPoint` of each."""

    difference: float = np.inf
    """Difference of the misfit in the last accelerated iteration."""


def step(state: State, backend: Backend, stage: StageSettings, memory: LsqMlMemory) -> Misfit:
    """Do one iteration in place and return the misfit before it."""
    compact = stage.batching == "compact"
    steps = active_steps(state, stage, compact)
    frames = backend.problem.used
    if steps == (None, None):
        return backend.misfit(state, frames)
    size = stage.batch or default_batch_size(len(frames), COMPACT_BATCHES if compact else BATCHES)
    groups = batches(stage.batching or "random", state.rng, frames, size, backend.problem.pixels)
    directions = arrays.zeros_like(state.object), arrays.zeros_like(state.probe)
    total, all_lengths = None, []
    momenta = NO_MOMENTA if compact else active_momenta(state, memory, *steps)
    difference = signal = 0.0
    for batch in groups:
        sums, lengths = step_lengths(state, backend, batch, steps, directions)
        difference, signal = difference + sums.misfit.difference, signal + sums.misfit.signal
        if compact:
            total = _add(total, sums)
            all_lengths.append(lengths)
        else:
            take_steps(state, backend, sums, steps, lengths, momenta)
        apply_momenta(state, momenta, ETA, PERIOD)
    if total is not None:
        before = arrays.copy(state.object), arrays.copy(state.probe)
        take_steps(state, backend, total, steps, np.min(all_lengths, axis=0))
        _accelerate(state, memory, backend.problem.tile, before, difference, steps)
    return Misfit(difference, signal)


def check(stage: StageSettings) -> None:
    """Refuse a step decay with compact batches."""
    if stage.batching == "compact" and stage.decay is not None:
        raise ValueError("LSQ-ML with compact batches does not use decay; its steps are accelerated to the end")


def default_batch_size(frames: int, count: int) -> int:
    """Return the default size of a batch, for so many frames in about ``count`` batches."""
    return max(SMALLEST_BATCH, frames // count)


def active_steps(state: State, stage: StageSettings, compact: bool) -> Steps:
    """Return the steps of this iteration."""
    defaults = (COMPACT_OBJECT, COMPACT_PROBE) if compact else (OBJECT, PROBE)
    updates = stage.object_update, stage.probe_update
    steps = [active_step(update, default, state.iteration) for update, default in zip(updates, defaults, strict=True)]
    return Steps(*(steps if compact else (shortened(step, state) for step in steps)))


def step_lengths(
    state: State,
    backend: Backend,
    batch: NDArray[np.int64],
    steps: Steps,
    directions: tuple[NDArray[Any], NDArray[Any]],
) -> tuple[Sums, NDArray[np.float64]]:
    """Return the sums of a batch, and the lengths (s, t) along the directions of object and probe.

    The directions are written in place; that of a quantity without a step is 0.
    """
    sums = backend.gather(state, batch, object=steps.object is not None, probe=steps.probe is not None)
    d_object, d_probe = directions
    d_object[:], d_probe[:] = 0, 0
    if steps.object:
        backend.descend(d_object, sums.object, sums.probe_density, Step(1.0, steps.object.alpha))
    if steps.probe:
        backend.descend(d_probe, sums.probe, sums.object_density, Step(1.0, steps.probe.alpha))
    return sums, solve(*inner_products(state, backend, batch, sums, d_object, d_probe))


def inner_products(
    state: State, backend: Backend, batch: NDArray[np.int64], sums: Sums, d_object: NDArray[Any], d_probe: NDArray[Any]
) -> tuple[float, ...]:
    """Return <a, a>, <b, b>, <a, b>, <a, chi>, <b, chi> of the batch, with a = dO_j P_k and b = dP_k O_j.

    <x, y> = Re sum conj(x) y. With the sums of the batch, <a, a> = <dO, sum_jk |P_k|^2 dO> and
    <a, chi> = <dO, sum_jk conj(P_k) chi_jk>, and in the same way for b. In <b, b> and <a, b> windows are taken at the
    nearest whole pixel. <a, b> is estimated from at least `CROSS_TERM_FRAMES` frames of the batch.
    """
    tile = backend.problem.tile
    sums_of_products = tile.total(
        arrays.weighted_power(tile.owned(d_object), tile.owned(sums.probe_density)),
        arrays.weighted_power(tile.owned(d_probe), sums.object_density),
        arrays.inner(tile.owned(d_object), tile.owned(sums.object)),
        arrays.inner(tile.owned(d_probe), tile.owned(sums.probe)),
    )
    aa, bb, a_chi, b_chi = map(float, sums_of_products)
    frames = np.sort(batch)[:: max(1, len(batch) // CROSS_TERM_FRAMES)]
    ab = len(batch) / len(frames) * backend.cross_term(state, frames, d_object, d_probe)
    return aa, bb, ab, a_chi, b_chi


def solve(aa: float, bb: float, ab: float, a_chi: float, b_chi: float, damping: float = DAMPING) -> NDArray[np.float64]:
    """Return the real lengths (s, t) of the steps, with negative ones replaced by 0.

    They minimise ||chi - s a - t b||^2 + d (s^2 + t^2), where d = damping (||a||^2 + ||b||^2) / 2. The derivatives with
    respect to s and t vanish where

        [<a, a> + d   <a, b>    ] [s]   [<a, chi>]
        [<a, b>       <b, b> + d] [t] = [<b, chi>],   <x, y> = Re sum conj(x) y.

    Parameters
    ----------
    aa, bb, ab, a_chi, b_chi : float
        <a, a>, <b, b>, <a, b>, <a, chi>, <b, chi>; see `inner_products`.
    damping : float
        Added to the diagonal, relative to its mean.
    """
    d = damping * (aa + bb) / 2
    determinant = max((aa + d) * (bb + d) - ab**2, np.finfo(float).tiny)
    lengths = ((bb + d) * a_chi - ab * b_chi) / determinant, ((aa + d) * b_chi - ab * a_chi) / determinant
    return np.maximum(lengths, 0.0)


def take_steps(
    state: State,
    backend: Backend,
    sums: Sums,
    steps: Steps,
    lengths: NDArray[np.float64],
    momenta: Momenta = NO_MOMENTA,
) -> None:
    """Take the steps in place, with the lengths (s, t) of the batch, and add them to the momenta."""
    if steps.object:
        step = _scaled(steps.object, lengths[0])
        backend.descend(state.object, sums.object, sums.probe_density, step, velocity_of(momenta.object))
    if steps.probe:
        step = _scaled(steps.probe, lengths[1])
        backend.descend(state.probe, sums.probe, sums.object_density, step, velocity_of(momenta.probe))


def _accelerate(
    state: State,
    memory: LsqMlMemory,
    tile: WholeObject,
    before: tuple[NDArray[Any], NDArray[Any]],
    difference: float,
    steps: Steps,
) -> None:
    """Extrapolate from the last point through this one, in place: x_n + (n / (n + 3)) (x_n - x_(n-1)).

    n starts at 0 again if the error has increased, or if the step of this iteration (from ``before``) points against
    the change from the last point.
    """
    for name, earlier, update in zip(("object", "probe"), before, steps, strict=True):
        if update is None:
            continue
        array, last = getattr(state, name), getattr(memory, name)
        point = arrays.copy(array)
        change = array - (array if last is None else last.array)
        continues = difference <= memory.difference and tile.inner(array - earlier, change) >= 0
        n = (-1 if last is None else last.count) + 1 if continues else 0
        array += n / (n + 3) * change
        setattr(memory, name, AcceleratedPoint(point, n))
    memory.difference = difference


def _scaled(step: Step, factor: float) -> Step:
    """Return the step with its length multiplied by a factor."""
    return step._replace(length=float(step.length * factor))


def _add(total: Sums | None, more: Sums) -> Sums:
    """Return the sums of both in new arrays: the backend overwrites the arrays of a pass in its next one."""
    if total is None:
        names = "object", "probe_density", "probe", "object_density"
        return replace(more, **{name: arrays.copy(getattr(more, name)) for name in names})
    misfit = Misfit(total.misfit.difference + more.misfit.difference, total.misfit.signal + more.misfit.signal)
    return Sums(
        total.object + more.object,
        total.probe_density + more.probe_density,
        total.probe + more.probe,
        total.object_density + more.object_density,
        misfit,
        total.loss + more.loss,
    )


ALGORITHM = Algorithm(
    "LSQ-ML",
    step,
    iterations=60,
    settings=frozenset({"batch", "batching", "decay"}),
    memory=LsqMlMemory,
    check=check,
)
