"""ML: maximum likelihood by preconditioned conjugate gradients with an exact line search.

With L the loss of a noise model (`backend.Noise`), g = (g_O, g_P) minus its gradient with respect to conj(O) and
conj(P) over all frames, and <a, b> = Re sum conj(a) b over object and probe:

    z_O = step_O * g_O / ((1 - alpha_O) sum_jk |P_k|^2 + alpha_O max sum_jk |P_k|^2)       (preconditioned)
    z_P = step_P * g_P / ((1 - alpha_P) sum_j  |O_j|^2 + alpha_P max sum_j  |O_j|^2)
    h   = z + max(0, <g - g_last, z> / <g_last, z_last>) h_last                            (Polak and Ribiere)
    (O, P) <- (O, P) + t h,   t the first minimum of L(O + t h_O, P + t h_P)               (`Backend.line_derivatives`)

P. Thibault and M. Guizar-Sicairos, New J. Phys. 14, 063004 (2012). Near the solution the denominators are the diagonal
of the Hessian. They bring object and probe to one scale, so that the lengths of the steps only set their relative
weight.

With the setting ``regularisation``, the negative logarithm of a prior of the object is added to L (`regularisation`).

Positions that are refined are unknowns too. For frame j, g_j is minus half the gradient of L with respect to its
position, and the preconditioner is its block of the Gauss-Newton matrix (`Backend.position_derivatives`):

    z_j = [yy yx; yx xx]^-1 g_j,    p_j <- p_j + t h_j

Positions converge because they share one direction with object and probe. If they were refined alternately, the object
would follow its frames, and a common error of neighbouring frames would hardly appear in the gradient; conjugate
directions account for this dependence. A common move of all frames is not removed, because detail as fine as the pixels
determines it. If the mean were fixed at half a pixel from the position that this detail requires, the scan would split
into regions that are displaced by a whole pixel against each other.

The exit wave of a thick sample is not linear in its slices; for slices `lbfgs` is used.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine import arrays
from exitwave.engine.algorithms import lbfgs
from exitwave.engine.algorithms.algorithm import Algorithm
from exitwave.engine.algorithms.regularisation import DELAY, Majorant, Prior, add_prior, make_prior, slope_and_curvature
from exitwave.engine.algorithms.steps import active_step
from exitwave.engine.backend import Backend, Line, Misfit, Noise, Step, Sums
from exitwave.engine.model.positions import clip_positions, solve_displacements
from exitwave.engine.parallel.tiles import WholeObject
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import Memory, State

OBJECT, PROBE = Step(1.0, 0.1), Step(1.0, 0.1)
"""Default length and alpha of the steps."""
Moves = NDArray[np.float64]
"""Two numbers for every frame, shape (npos, 2): moves in object pixels (row, column), or gradients."""
Steps = tuple[Step | None, Step | None]
"""The steps of object and probe; None: the quantity is not updated."""
TRIALS = np.array([0.5, 0.8, 1.25, 2.0])
"""Lengths at which one pass computes the slope, relative to the expected length."""
PASSES = 6
"""Largest number of passes of a line search; one or two are usual."""
ROWS = 64
"""Rows of the arrays that are processed at a time, to limit memory."""
TINY = 1e-20
"""Added to denominators, so that the step is 0 where they would be 0."""
DAMPING = 0.02
"""Added to the matrix of every frame's position, relative to the mean diagonal of all frames, so that a frame without
detail does not move."""


@dataclass(frozen=True)
class LastIteration:
    """Gradient, direction and length of the last iteration."""

    gradient: Line
    """g."""
    product: float
    """<g, z>."""
    direction: Line
    """h."""
    length: float
    """t."""


@dataclass
class MlMemory(Memory):
    """The last iteration of the conjugate gradients, or the search of a thick sample."""

    last: LastIteration | None = None
    search: lbfgs.Search | None = None
    prior: Prior | None = None
    """The prior of the object; None: there is none so far."""
    wait: int = 0
    """Iterations until a prior is made."""

    def resume(self, before: frozenset[str], now: frozenset[str]) -> None:
        """Start again if other quantities are updated than in the last iteration."""
        self.last = self.last if before == now else None
        self.search = self.search if before - {"positions"} == now - {"positions"} else None


def check(stage: StageSettings) -> None:
    """Refuse settings of the refinement of positions that this algorithm does not use."""
    positions = stage.refinement("position_update")
    unused = sorted(positions.model_fields_set - {"schedule", "largest"}) if positions else []
    if unused:
        raise ValueError(f"ML does not use position_update.{unused[0]}; it computes the steps of the positions itself")


def step(state: State, backend: Backend, stage: StageSettings, memory: MlMemory) -> Misfit:
    """Do one iteration in place and return the misfit before it."""
    if backend.problem.slices:
        return lbfgs.step(state, backend, stage, memory)
    frames, noise, tile = backend.problem.used, stage.noise or "amplitude", backend.problem.tile
    object_step = active_step(stage.object_update, OBJECT, state.iteration)
    probe_step = active_step(stage.probe_update, PROBE, state.iteration)
    positions = stage.refinement("position_update")
    sums = backend.gather(state, frames, object=object_step is not None, probe=probe_step is not None, noise=noise)
    majorant = None
    if stage.regularisation is not None and object_step:
        majorant, sums = add_regularisation(state, sums, stage.regularisation, memory, tile)
    gradient, moves = Line(sums.object, sums.probe), None
    if positions is not None and positions.schedule.active(state.iteration):
        position_gradient, moves = newton_moves(state, backend, frames, noise)
        gradient = gradient._replace(moves=position_gradient)
    last, memory.last = memory.last, None
    direction, product = conjugate_direction(last, gradient, sums, (object_step, probe_step), moves, tile)
    length = last.length if last else 1.0
    stored = stored_gradient(gradient, last)
    slope = -2 * inner(gradient, direction, tile)
    if slope == 0:  # nothing is updated, or the gradient is 0
        return sums.misfit

    first, second = slope_and_curvature(majorant, state.object, direction.object, tile) if majorant else (0.0, 0.0)

    def derivatives(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
        of_counts = backend.line_derivatives(state, direction, frames, lengths, noise)
        return of_counts + np.stack([first + lengths * second, np.full(len(lengths), second)], axis=1)

    length = first_minimum(derivatives, slope, length)
    if object_step:
        add(state.object, direction.object, length)
    if probe_step:
        add(state.probe, direction.probe, length)
    if positions is not None and direction.moves is not None:
        move_positions(state, backend, length * direction.moves, positions.largest)
        held_out_moves = newton_moves(state, backend, backend.problem.held_out, noise)[1]
        move_positions(state, backend, held_out_moves, positions.largest)
    memory.last = LastIteration(stored, product, direction, length)
    return sums.misfit


def add_regularisation(
    state: State, sums: Sums, strength: float, memory: MlMemory, tile: WholeObject
) -> tuple[Majorant | None, Sums]:
    """Return the majorant of the prior and the sums with the prior; None: the stage still waits for a flat object."""
    if memory.prior is None and memory.wait == 0:
        memory.prior = make_prior(state.object, sums.probe_density, strength, tile)
        memory.wait = DELAY
    if memory.prior is None:
        memory.wait -= 1
        return None, sums
    if memory.wait:  # the first iteration with the prior
        memory.wait, memory.last = 0, None
    return add_prior(memory.prior, state.object, sums, tile)


def newton_moves(state: State, backend: Backend, frames: NDArray[np.int64], noise: Noise) -> tuple[Moves, Moves]:
    """Return g_j and z_j of the positions of some frames, each of shape (npos, 2); 0 for the other frames."""
    derivatives = backend.position_derivatives(state, frames, noise) if len(frames) else np.zeros((0, 5))
    gradient, moves = np.zeros((2, len(backend.problem.pixels), 2))
    gradient[frames], moves[frames] = derivatives[:, :2], solve_displacements(derivatives.T, DAMPING)
    return gradient, moves


def move_positions(state: State, backend: Backend, moves: Moves, largest: float) -> None:
    """Move the positions, each by at most ``largest`` object pixels."""
    positions = backend.problem.pixels.astype(np.float64) if state.positions is None else state.positions
    length = np.maximum(np.hypot(*moves.T), np.finfo(float).tiny)
    state.positions = clip_positions(positions + moves * np.minimum(1, largest / length)[:, None], backend.problem)


def stored_gradient(gradient: Line, last: LastIteration | None) -> Line:
    """Return a copy of the gradient, in the arrays of the last one: the backend overwrites its arrays in a pass."""
    if last is None:
        return gradient._replace(object=arrays.copy(gradient.object), probe=arrays.copy(gradient.probe))
    for target, source in zip(last.gradient[:2], gradient[:2], strict=True):
        target[:] = source
    return last.gradient._replace(moves=gradient.moves)


def conjugate_direction(
    last: LastIteration | None, gradient: Line, sums: Sums, steps: Steps, moves: Moves | None, tile: WholeObject
) -> tuple[Line, float]:
    """Return h and <g, z>.

    h is written into the arrays of the last direction. It is z if there is no last iteration, or if the loss would not
    decrease along the conjugate direction.
    """
    if last is None:
        direction = Line(arrays.zeros_like(gradient.object), arrays.zeros_like(gradient.probe), moves)
        for z, target in preconditioned(tile, sums, steps, direction):
            target[:] = z
        return direction, inner(gradient, direction, tile)
    product, last_product = (tile.count_once(inner_of_moves(g, moves)) for g in (gradient.moves, last.gradient.moves))
    for z, g, g_last in preconditioned(tile, sums, steps, gradient, last.gradient, once=True):
        product, last_product = product + arrays.inner(g, z), last_product + arrays.inner(g_last, z)
    product, last_product = tile.total(product, last_product)
    direction, beta = last.direction, max(0.0, float(product - last_product) / last.product)
    for z, target in preconditioned(tile, sums, steps, direction):
        target *= beta
        target += z
    if direction.moves is not None and moves is not None:
        direction = direction._replace(moves=beta * direction.moves + moves)
    if inner(gradient, direction, tile) > 0:
        return direction, float(product)
    return conjugate_direction(None, gradient, sums, steps, moves, tile)


def preconditioned(
    tile: WholeObject, sums: Sums, steps: Steps, *lines: Line, once: bool = False
) -> Iterator[tuple[Any, ...]]:
    """Yield z of the quantities that are updated, some rows at a time, and the same rows of some lines.

    z is as large as the object, so that it is not stored. With ``once``, every row is yielded in one process only.
    """
    modes = range(len(sums.probe))
    parts: list[tuple[Any, ...]]
    parts = [(steps[0], sums.probe_density, sums.object, *(line.object for line in lines))]
    parts += [(steps[1], sums.object_density, sums.probe[k], *(line.probe[k] for line in lines)) for k in modes]
    for step, curvature, *others in parts:
        if step:
            floor = step.alpha * tile.largest(curvature) + TINY
            local = [tile.owned(array) if once else array for array in (curvature, *others)]
            for d, g, *rows in arrays.row_blocks(ROWS, *local):
                yield step.length * g / ((1 - step.alpha) * d + floor), *rows


def add(target: NDArray[np.complexfloating], direction: NDArray[np.complexfloating], length: float) -> None:
    """Add a direction times a length in place, without a temporary array as large as the object."""
    for rows, change in arrays.row_blocks(ROWS, target, direction):
        rows += length * change


def inner(a: Line, b: Line, tile: WholeObject) -> float:
    """Return <a, b> over object, probe and positions."""
    object, probe = (arrays.inner(tile.owned(x), tile.owned(y)) for x, y in zip(a[:2], b[:2], strict=True))
    total: float = tile.total(float(object + probe) + tile.count_once(inner_of_moves(a.moves, b.moves)))[0]
    return total


def inner_of_moves(a: Moves | None, b: Moves | None) -> float:
    """Return <a, b> of two arrays of moves; 0 if one of them is None."""
    return 0.0 if a is None or b is None else float(np.vdot(a, b))


def first_minimum(
    derivatives: Callable[[NDArray[np.float64]], NDArray[np.float64]], slope: float, expected: float
) -> float:
    """Return the length of the first minimum of a function that decreases at length 0.

    Parameters
    ----------
    derivatives : callable
        Returns the first and second derivative at some lengths, shape (lengths, 2).
    slope : float
        First derivative at length 0, below 0.
    expected : float
        Estimate of the length. The trial lengths grow or shrink until one pass has the minimum between two of them;
        there the minimum is the zero of a cubic through their derivatives.

    Returns
    -------
    float
        The length. If `PASSES` are not enough or a derivative is not finite: the largest length at which the function
        is known to decrease, or 0.
    """
    decreasing = 0.0
    for _ in range(PASSES):
        lengths = expected * TRIALS
        first, second = derivatives(lengths).T
        if not np.isfinite(first).all():
            return decreasing
        if first[0] >= 0:
            expected *= max(TRIALS[0] * slope / (slope - first[0]), 0.05)
        elif (first < 0).all():
            decreasing, expected = float(lengths[-1]), expected * TRIALS[-1] / TRIALS[0]
        else:
            end = int(np.argmax(first >= 0))
            pair = slice(end - 1, end + 1)
            return cubic_zero(*lengths[pair], *first[pair], *second[pair])
    return decreasing


def cubic_zero(a: float, b: float, f_a: float, f_b: float, d_a: float, d_b: float) -> float:
    """Return the first zero between a and b of the cubic with the values f and the derivatives d at both ends."""
    h = b - a
    cubic = [2 * (f_a - f_b) + h * (d_a + d_b), 3 * (f_b - f_a) - h * (2 * d_a + d_b), h * d_a, f_a]
    roots = np.roots(cubic)
    between = roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real >= 0) & (roots.real <= 1)]
    return float(a + h * between.min(initial=1.0))


ALGORITHM = Algorithm(
    "ML",
    step,
    iterations=60,
    settings=frozenset({"noise", "regularisation"}),
    memory=MlMemory,
    slices=True,
    fly_scan=True,
    refines_positions=True,
    check=check,
)
