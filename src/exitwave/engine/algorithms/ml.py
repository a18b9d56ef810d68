"""Maximum likelihood by preconditioned conjugate gradients with an exact line search.

With L the loss of a noise model (`backend.Noise`), g = (g_O, g_P) minus its gradient with respect to conj(O) and
conj(P) over all frames, and <a, b> = Re sum conj(a) b over object and probe:

    z_O = step_O * g_O / ((1 - alpha_O) sum_jk |P_k|^2 + alpha_O max sum_jk |P_k|^2)       (preconditioned)
    z_P = step_P * g_P / ((1 - alpha_P) sum_j  |O_j|^2 + alpha_P max sum_j  |O_j|^2)
    h   = z + max(0, <g - g_last, z> / <g_last, z_last>) h_last                            (Polak and Ribiere)
    (O, P) <- (O, P) + t h,   t the first minimum of L(O + t h_O, P + t h_P)               (`Backend.along`)

P. Thibault and M. Guizar-Sicairos, New J. Phys. 14, 063004 (2012). The denominators are the diagonal of the Hessian,
close to the solution; they put object and probe on one scale, so the steps' lengths only weigh one against the other.

Where positions are refined they are unknowns like the others, with g_j minus half the gradient of L with respect to the
position of frame j, and the block of the Gauss-Newton matrix that belongs to it as preconditioner (`Backend.moves`):

    z_j = [yy yx; yx xx]^-1 g_j,    p_j <- p_j + t h_j

One direction for all of them is what makes positions converge: refined in turns, the object follows its frames, so that
what neighbours are off by together hardly shows; conjugate directions see how one depends on the other. A move of all
frames by the same is not taken out: detail as fine as the pixels makes it no freedom. Held at half a pixel from where
this detail wants it, the scan falls into parts that lie a whole pixel beside each other.

The exit wave of a thick sample is not linear in its slices: these have a search of their own, `lbfgs`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine import arrays
from exitwave.engine.algorithms import lbfgs
from exitwave.engine.algorithms.algorithm import Algorithm
from exitwave.engine.algorithms.epie import choose
from exitwave.engine.backend import Backend, Line, Misfit, Noise, Step, Sums
from exitwave.engine.model.positions import clip_positions, solve_displacements
from exitwave.engine.parallel.tiles import WholeObject
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import Memory, State

OBJECT, PROBE = Step(1.0, 0.1), Step(1.0, 0.1)
"""Length and alpha of the steps, where the stage does not say."""
Moves = NDArray[np.float64]
Steps = tuple[Step | None, Step | None, bool]
"""Those of object and probe, and whether positions move."""
TRIALS = np.array([0.5, 0.8, 1.25, 2.0])
"""Lengths at which the slope is measured in one pass, relative to the length expected."""
ROWS = 64
"""Rows that move at a time."""
PASSES = 6
"""The most passes for one line search; one or two are usual."""
TINY = 1e-20
"""Makes the step 0 where neither frames nor alpha give it a denominator."""
DAMPING = 0.02
"""Of the mean diagonal of all frames' matrices, added to a frame's: one without detail stays where it is."""


@dataclass(frozen=True)
class _Last:
    """Gradient, direction and length of the last iteration."""

    gradient: Line
    product: float
    line: Line
    length: float


@dataclass
class MlMemory(Memory):
    """The last iteration of conjugate gradients, or the search in several slices."""

    last: _Last | None = None
    search: lbfgs.Search | None = None

    def resume(self, before: frozenset[str], now: frozenset[str]) -> None:
        """Start again where other quantities are updated than before."""
        self.last = self.last if before == now else None
        self.search = self.search if before - {"positions"} == now - {"positions"} else None


def check(stage: StageSettings) -> None:
    """Refuse settings of the positions' refinement that this algorithm does not use."""
    positions = stage.refinement("position_update")
    unknown = sorted(positions.model_fields_set - {"schedule", "largest"}) if positions else []
    if unknown:
        raise ValueError(f"ML refines positions without position_update.{unknown[0]}; it finds its own steps")


def step(state: State, backend: Backend, stage: StageSettings, memory: MlMemory) -> Misfit:
    """Do one iteration in place and return its misfit."""
    if backend.problem.slices:
        return lbfgs.step(state, backend, stage, memory)
    frames, noise, tile = backend.problem.used, stage.noise or "amplitude", backend.problem.tile
    object_step = choose(stage.object_update, OBJECT, state.iteration)
    probe_step = choose(stage.probe_update, PROBE, state.iteration)
    places = stage.refinement("position_update")
    moving = places is not None and places.schedule.active(state.iteration)
    sums = backend.gather(state, frames, object=object_step is not None, probe=probe_step is not None, noise=noise)
    pulled, moves = Line(sums.object, sums.probe), None
    if moving:
        pull, moves = newton(state, backend, frames, noise)
        pulled = pulled._replace(moves=pull)
    steps = (object_step, probe_step, moving)
    last, memory.last = memory.last, None
    line, product = turn(last, pulled, sums, steps, moves, tile)
    length = last.length if last else 1.0
    gradient = keep(pulled, last)
    slope = -2 * inner(pulled, line, tile)
    if slope == 0:  # nothing to update, or nothing left to improve
        return sums.misfit
    length = minimise(lambda lengths: backend.line_derivatives(state, line, frames, lengths, noise), slope, length)
    for target, direction, update in zip((state.object, state.probe), line[:2], (object_step, probe_step), strict=True):
        if update:
            go(target, direction, length)
    if places is not None and line.moves is not None:
        move(state, backend, length * line.moves, places.largest)
        move(state, backend, newton(state, backend, backend.problem.held_out, noise)[1], places.largest)
    memory.last = _Last(gradient, product, line, length)
    return sums.misfit


def newton(state: State, backend: Backend, frames: NDArray[np.int64], noise: Noise) -> tuple[Moves, Moves]:
    """Return the pull on the frames' positions, and the move that would follow it alone; 0 for other frames."""
    told = backend.position_derivatives(state, frames, noise) if len(frames) else np.zeros((0, 5))
    pull, moves = np.zeros((2, len(backend.problem.pixels), 2))
    pull[frames], moves[frames] = told[:, :2], solve_displacements(told.T, DAMPING)
    return pull, moves


def move(state: State, backend: Backend, moves: Moves, largest: float) -> None:
    """Move the positions, none further than so many object pixels."""
    positions = backend.problem.pixels.astype(np.float64) if state.positions is None else state.positions
    length = np.maximum(np.hypot(*moves.T), np.finfo(float).tiny)
    state.positions = clip_positions(positions + moves * np.minimum(1, largest / length)[:, None], backend.problem)


def keep(pulled: Line, last: _Last | None) -> Line:
    """Return a copy of the gradient, in the place of the last one: the next iteration has the backend's arrays anew."""
    if last is None:
        return pulled._replace(object=arrays.copy(pulled.object), probe=arrays.copy(pulled.probe))
    for target, source in zip(last.gradient[:2], pulled[:2], strict=True):
        target[:] = source
    return last.gradient._replace(moves=pulled.moves)


def turn(
    last: _Last | None, pulled: Line, sums: Sums, steps: Steps, moves: Moves | None, tile: WholeObject
) -> tuple[Line, float]:
    """Return the direction h and <g, z>: h conjugate, in the place of the last one, or z where that does not fall."""
    if last is None:
        line = Line(arrays.zeros_like(pulled.object), arrays.zeros_like(pulled.probe), moves)
        for z, target in preconditioned(tile, sums, steps, line):
            target[:] = z
        return line, inner(pulled, line, tile)
    product, kept = (tile.count_once(overlap(each, moves)) for each in (pulled.moves, last.gradient.moves))
    for z, now, before in preconditioned(tile, sums, steps, pulled, last.gradient, once=True):
        product, kept = product + arrays.inner(now, z), kept + arrays.inner(before, z)
    product, kept = tile.total(product, kept)
    line, beta = last.line, max(0.0, float(product - kept) / last.product)
    for z, target in preconditioned(tile, sums, steps, line):
        target *= beta
        target += z
    if line.moves is not None and moves is not None:
        line = line._replace(moves=beta * line.moves + moves)
    return (line, float(product)) if inner(pulled, line, tile) > 0 else turn(None, pulled, sums, steps, moves, tile)


def preconditioned(
    tile: WholeObject, sums: Sums, steps: Steps, *lines: Line, once: bool = False
) -> Iterator[tuple[Any, ...]]:
    """Yield z of what is updated, some rows at a time as it is as large as the object, and these rows of some lines.

    ``once``: every row in one process only.
    """
    modes = range(len(sums.probe))
    parts: list[tuple[Any, ...]]
    parts = [(steps[0], sums.probe_density, sums.object, *(line.object for line in lines))]
    parts += [(steps[1], sums.object_density, sums.probe[k], *(line.probe[k] for line in lines)) for k in modes]
    for step, curvature, *others in parts:
        if step:
            floor = step.alpha * tile.largest(curvature) + TINY
            here = [tile.owned(each) if once else each for each in (curvature, *others)]
            for d, g, *rows in arrays.row_blocks(ROWS, *here):
                yield step.length * g / ((1 - step.alpha) * d + floor), *rows


def go(target: NDArray[np.complexfloating], direction: NDArray[np.complexfloating], length: float) -> None:
    """Move a quantity along its direction in place, without an array as large as the object."""
    for part, step in arrays.row_blocks(ROWS, target, direction):
        part += length * step


def inner(a: Line, b: Line, tile: WholeObject) -> float:
    """Return Re sum conj(a) b over object, probe and positions."""
    object, probe = (arrays.inner(tile.owned(x), tile.owned(y)) for x, y in zip(a[:2], b[:2], strict=True))
    total: float = tile.total(float(object + probe) + tile.count_once(overlap(a.moves, b.moves)))[0]
    return total


def overlap(a: Moves | None, b: Moves | None) -> float:
    """Return <a, b> of moves, where there are any."""
    return 0.0 if a is None or b is None else float(np.vdot(a, b))


def minimise(gradients: Callable[[NDArray[np.float64]], NDArray[np.float64]], slope: float, expected: float) -> float:
    """Return the first length at which a falling function stops to fall.

    Parameters
    ----------
    slopes : callable
        First and second derivative at some lengths, shape (lengths, 2).
    slope : float
        First derivative at length 0, below 0.
    expected : float
        About what the length may be. The lengths tried grow and shrink until one pass has the minimum between two of
        them; there a cubic through the slopes tells where it is.

    Returns
    -------
    float
        The length; where `PASSES` are not enough or slopes are not finite, the largest known with the function still
        falling, or 0.
    """
    falling = 0.0
    for _ in range(PASSES):
        lengths = expected * TRIALS
        first, second = gradients(lengths).T
        if not np.isfinite(first).all():
            return falling
        if first[0] >= 0:
            expected *= max(TRIALS[0] * slope / (slope - first[0]), 0.05)
        elif (first < 0).all():
            falling, expected = float(lengths[-1]), expected * TRIALS[-1] / TRIALS[0]
        else:
            end = int(np.argmax(first >= 0))
            between = slice(end - 1, end + 1)
            return zero(*lengths[between], *first[between], *second[between])
    return falling


def zero(a: float, b: float, f_a: float, f_b: float, d_a: float, d_b: float) -> float:
    """Return where a function is first 0 between a and b, as the cubic with its values f and derivatives d at both."""
    h = b - a
    cubic = [2 * (f_a - f_b) + h * (d_a + d_b), 3 * (f_b - f_a) - h * (2 * d_a + d_b), h * d_a, f_a]
    roots = np.roots(cubic)
    inside = roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real >= 0) & (roots.real <= 1)]
    return float(a + h * inside.min(initial=1.0))


ALGORITHM = Algorithm(
    "ML",
    step,
    iterations=60,
    settings=frozenset({"noise"}),
    memory=MlMemory,
    slices=True,
    fly_scan=True,
    refines_positions=True,
    check=check,
)
