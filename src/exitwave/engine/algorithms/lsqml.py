"""LSQ-ML: least squares with the best lengths of the steps of object and probe together.

For every batch B of frames, chi_jk = psi'_jk - psi_jk being the change that the measured amplitudes ask for, the
directions are those of rPIE, and the batch says how far to go along them:

    dO   = sum_jk conj(P_k) chi_jk / ((1 - alpha) sum_jk |P_k|^2 + alpha max sum_jk |P_k|^2)
    dP_k = sum_j  conj(O_j) chi_jk / ((1 - alpha) sum_j  |O_j|^2 + alpha max sum_j  |O_j|^2)

    (s, t) = argmin over real s, t of sum_jk ||chi_jk - s dO_j P_k - t dP_k O_j||^2

    O   <- O   + step_O * s * dO
    P_k <- P_k + step_P * t * dP_k

M. Odstrcil, A. Menzel and M. Guizar-Sicairos, Opt. Express 26, 3108 (2018), eq. 22 to 25, who solve this for every
frame and take means. The batch as a whole comes to lengths within some percent of these and to the same errors, and its
normal equations need no chi of any frame: but for what dO P and dP O have in common (`Backend.crossing`), they are made
of the sums that give the directions. They are derived for what they are solved for, real lengths.

Random and sparse batches are used one after the other, with `momentum`. Compact batches, the pieces of one field, are
used together: their sums make one step in an iteration, with the length of the most cautious batch, and the steps are
accelerated (Y. Nesterov, Dokl. Akad. Nauk SSSR 269, 543 (1983)) with restarts (B. O'Donoghue and E. Candes, Found.
Comput. Math. 15, 715 (2015)). That needs more iterations, and leaves less noise in the end.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exitwave.engine import arrays
from exitwave.engine.algorithms.algorithm import Algorithm
from exitwave.engine.algorithms.batches import batches
from exitwave.engine.algorithms.epie import choose
from exitwave.engine.algorithms.momentum import STILL, Moving, moving, push, velocity
from exitwave.engine.algorithms.step_decay import decayed
from exitwave.engine.backend import Backend, Misfit, Step, Sums
from exitwave.engine.parallel.tiles import WholeObject
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import QuantityMemory, State

OBJECT, PROBE = Step(0.5, 0.3), Step(1.0, 0.1)
"""Length and alpha of the steps, where the stage does not say. The object alone could explain a frame that no other
overlaps, so what a frame leaves for the probe is too little, and the probe's step is the longer one."""
ETA, EVERY = 0.9, 2
"""The part of the momentum that is kept, and the batches from one push to the next; see `momentum`."""
COMPACT_OBJECT, COMPACT_PROBE = Step(0.65, 0.05), Step(0.9, 0.1)
"""The same with compact batches."""
BATCHES, COMPACT_BATCHES = 8, 6
"""Batches in an iteration, where the stage does not say; what matters is how many of a batch's frames overlap."""
SMALLEST_BATCH = 8
"""A batch has at least so many frames, where the stage does not say."""
ASKED = 8
"""Frames of a batch, at least, that say what the changes of object and probe have in common."""
DAMPING = 0.1
"""Added to the diagonal of the normal equations, relative to the mean of the diagonal."""


class _Steps(NamedTuple):
    """The steps of this iteration; None leaves a quantity alone."""

    object: Step | None
    probe: Step | None


@dataclass
class _Point:
    """A quantity before it was extrapolated, and the iterations since its last restart."""

    array: NDArray[Any]
    run: int


@dataclass
class LsqMlMemory(QuantityMemory):
    """The `momentum.Momentum` of object and probe; with compact batches the last `_Point` of each."""

    difference: float = np.inf
    """Difference of the misfit in the last accelerated iteration."""


def step(state: State, backend: Backend, stage: StageSettings, memory: LsqMlMemory) -> Misfit:
    """Do one iteration in place and return its misfit."""
    compact = stage.batching == "compact"
    steps = _steps(state, stage, compact)
    frames = backend.problem.used
    if steps == (None, None):
        return backend.misfit(state, frames)
    size = stage.batch or batch_size(len(frames), COMPACT_BATCHES if compact else BATCHES)
    groups = batches(stage.batching or "random", state.rng, frames, size, backend.problem.pixels)
    directions = arrays.zeros_like(state.object), arrays.zeros_like(state.probe)
    total, lengths = None, []
    pushed = STILL if compact else moving(state, memory, *steps)
    difference = signal = 0.0
    for batch in groups:
        sums, length = weigh(state, backend, batch, steps, directions)
        difference, signal = difference + sums.misfit.difference, signal + sums.misfit.signal
        if compact:
            total = _add(total, sums)
            lengths.append(length)
        else:
            advance(state, backend, sums, steps, length, pushed)
        push(state.object, pushed.object, ETA, EVERY)
        push(state.probe, pushed.probe, ETA, EVERY)
    if total is not None:
        before = arrays.copy(state.object), arrays.copy(state.probe)
        advance(state, backend, total, steps, np.min(lengths, axis=0))
        _accelerate(state, memory, backend.problem.tile, before, difference, steps)
    return Misfit(difference, signal)


def check(stage: StageSettings) -> None:
    """Refuse a decay with compact batches."""
    if stage.batching == "compact" and stage.decay is not None:
        raise ValueError("LSQ-ML with compact batches does not use decay; its steps are accelerated to the end")


def batch_size(frames: int, count: int) -> int:
    """Return how many frames share an update, where the stage does not say."""
    return max(SMALLEST_BATCH, frames // count)


def weigh(
    state: State,
    backend: Backend,
    batch: NDArray[np.int64],
    steps: _Steps,
    directions: tuple[NDArray[Any], NDArray[Any]],
) -> tuple[Sums, NDArray[np.float64]]:
    """Return the sums of a batch, and how far (s, t) to go along the directions of object and probe, written in place.

    A quantity that has no step has no direction.
    """
    sums = backend.gather(state, batch, object=steps.object is not None, probe=steps.probe is not None)
    d_object, d_probe = directions
    d_object[:], d_probe[:] = 0, 0
    if steps.object:
        backend.descend(d_object, sums.object, sums.probe_density, Step(1.0, steps.object.alpha))
    if steps.probe:
        backend.descend(d_probe, sums.probe, sums.object_density, Step(1.0, steps.probe.alpha))
    return sums, solve(*products(state, backend, batch, sums, d_object, d_probe))


def products(
    state: State, backend: Backend, batch: NDArray[np.int64], sums: Sums, d_object: NDArray[Any], d_probe: NDArray[Any]
) -> tuple[float, ...]:
    """Return <a, a>, <b, b>, <a, b>, <a, chi>, <b, chi> of the batch, with a = dO_j P_k and b = dP_k O_j.

    With the sums of the batch, <a, a> = <dO, sum_jk |P_k|^2 dO> and <a, chi> = <dO, sum_jk conj(P_k) chi_jk>, and so
    for b; <x, y> = Re sum conj(x) y. In <b, b> windows are taken at the nearest whole pixel, as in <a, b>, for which
    some of the frames speak for all.
    """
    tile = backend.problem.tile
    found = tile.total(
        arrays.weighted_power(tile.owned(d_object), tile.owned(sums.probe_density)),
        arrays.weighted_power(tile.owned(d_probe), sums.object_density),
        arrays.inner(tile.owned(d_object), tile.owned(sums.object)),
        arrays.inner(tile.owned(d_probe), tile.owned(sums.probe)),
    )
    aa, bb, aw, bw = map(float, found)
    asked = np.sort(batch)[:: max(1, len(batch) // ASKED)]
    return aa, bb, len(batch) / len(asked) * backend.cross_term(state, asked, d_object, d_probe), aw, bw


def solve(aa: float, bb: float, ab: float, aw: float, bw: float, damping: float = DAMPING) -> NDArray[np.float64]:
    """Return the real lengths (s, t) of the steps, with 0 in the place of negative ones.

    They minimise ||chi - s a - t b||^2 + d (s^2 + t^2), where d = damping (||a||^2 + ||b||^2) / 2. The derivatives with
    respect to s and t vanish where

        [<a, a> + d   <a, b>    ] [s]   [<a, chi>]
        [<a, b>       <b, b> + d] [t] = [<b, chi>],   <x, y> = Re sum conj(x) y.

    Parameters
    ----------
    aa, bb, ab, aw, bw : float
        <a, a>, <b, b>, <a, b>, <a, chi>, <b, chi>; see `products`.
    damping : float
        The part of the diagonal's mean that is added to it.
    """
    d = damping * (aa + bb) / 2
    determinant = max((aa + d) * (bb + d) - ab**2, np.finfo(float).tiny)
    lengths = ((bb + d) * aw - ab * bw) / determinant, ((aa + d) * bw - ab * aw) / determinant
    return np.maximum(lengths, 0.0)


def advance(
    state: State,
    backend: Backend,
    sums: Sums,
    steps: _Steps,
    lengths: NDArray[np.float64],
    pushed: Moving = STILL,
) -> None:
    """Take the steps, of the lengths that the batch wants, in place, with the velocities of the momenta."""
    if steps.object:
        step = _scaled(steps.object, lengths[0])
        backend.descend(state.object, sums.object, sums.probe_density, step, velocity(pushed.object))
    if steps.probe:
        step = _scaled(steps.probe, lengths[1])
        backend.descend(state.probe, sums.probe, sums.object_density, step, velocity(pushed.probe))


def _accelerate(
    state: State,
    memory: LsqMlMemory,
    tile: WholeObject,
    before: tuple[NDArray[Any], NDArray[Any]],
    difference: float,
    steps: _Steps,
) -> None:
    """Extrapolate from the last point through this one, in place: x_n + (n / (n + 3)) (x_n - x_(n-1)).

    The run of n starts again where the error rises, or where a step turns against the way it has come.
    """
    for name, earlier, update in zip(("object", "probe"), before, steps, strict=True):
        if update is None:
            continue
        array, last = getattr(state, name), getattr(memory, name)
        point = arrays.copy(array)
        moved = array - (array if last is None else last.array)
        onward = difference <= memory.difference and tile.inner(array - earlier, moved) >= 0
        n = (-1 if last is None else last.run) + 1 if onward else 0
        array += n / (n + 3) * moved
        setattr(memory, name, _Point(point, n))
    memory.difference = difference


def _steps(state: State, stage: StageSettings, compact: bool) -> _Steps:
    """Return the steps of this iteration."""
    defaults = (COMPACT_OBJECT, COMPACT_PROBE) if compact else (OBJECT, PROBE)
    updates = stage.object_update, stage.probe_update
    steps = [choose(u, d, state.iteration) for u, d in zip(updates, defaults, strict=True)]
    return _Steps(*(steps if compact else (decayed(step, state) for step in steps)))


def _scaled(step: Step, factor: float) -> Step:
    """Return the step with another length."""
    return step._replace(length=float(step.length * factor))


def _add(total: Sums | None, more: Sums) -> Sums:
    """Return the sums of both in new arrays: those of a pass are the backend's, and its next pass overwrites them."""
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
