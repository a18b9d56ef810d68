"""Maximum likelihood of a thick sample by limited-memory BFGS; `ml` uses it if the sample has slices.

The exit wave of several slices is not linear in them, so that the loss along a line is not a polynomial, as it is in
`ml`. In place of its exact line search, the curvature is estimated from pairs of the last steps s and the changes y of
the gradient. Let L be the loss of a noise model (`backend.Noise`), g minus its gradient with respect to conj(O) and
conj(P) over all frames, and <a, b> = Re sum conj(a) b over object and probe. The direction h follows from the last
pairs, from the newest to the oldest and back,

    q = g;          a_i = <s_i, q> / <s_i, y_i>,    q <- q - a_i y_i
    h = gamma B q;  b_i = <y_i, h> / <s_i, y_i>,    h <- h + (a_i - b_i) s_i,     gamma = <s, y> / <y, B y> (newest)

J. Nocedal and S. J. Wright, Numerical Optimization, 2nd ed. (2006), algorithm 7.4. B is the preconditioner

    B_O = U W^-1/2 K W^-1/2 conj(U),   W = ((1 - alpha_O) sum_jk |P_k|^2 + alpha_O max sum_jk |P_k|^2) / step_O
    B_P = step_P / ((1 - alpha_P) sum_j |O_1|^2 + alpha_P max sum_j |O_1|^2)

where P is the wave that enters a slice, U = O / |O|, and K the preconditioner of the slices (`slice_preconditioner`).
The ambiguity between slices, which the frames hardly determine, is a factor: coarse detail D in O_1 D and O_2 / D. It
is coarse in the logarithm of O, whose gradient is conj(O) g and whose curvature is W |O|^2; as a change of O it has all
the detail of O. Therefore B_O contains U. K is introduced in steps (`EPS_SCHEDULE`), because coarse detail of a
difference diverges if it is fitted while the sum of the slices is still wrong.

The step is h, or shorter until the loss is lower; nearly always one pass over the frames is enough for an iteration.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from exitwave.engine import arrays
from exitwave.engine.algorithms.slice_preconditioner import EPS, inverse, overlaps, precondition
from exitwave.engine.algorithms.steps import active_step
from exitwave.engine.backend import Backend, Misfit, Step
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import State

OBJECT, PROBE = Step(1.0, 0.05), Step(1.0, 0.1)
"""Default length and alpha of the steps."""
PAIRS = 5
"""Pairs that are stored; each is as large as twice object and probe."""
FIRST = 0.5
"""gamma before the first pair: object and probe could each account for all of the correction."""
TRIALS = 6
"""Largest number of passes in an iteration."""
SUFFICIENT = 1e-4
"""Smallest decrease of the loss, relative to the decrease that follows from the slope."""
EPS_SCHEDULE = {0: 10.0, 20: 0.3, 40: EPS}
"""eps of the preconditioner of the slices from an iteration of the search on; at 10 the gradients hardly change."""
TINY = 1e-20
"""Added to denominators that may be 0."""
Vector = list[Any]
"""An array for each of object and probe that is updated."""
Steps = tuple[Step | None, Step | None]


class Point(NamedTuple):
    """The results of a pass over the frames at one object and probe."""

    gradient: Vector
    """g, minus the gradient."""
    weights: Vector
    """W^-1/2 conj(U), and B_P."""
    loss: float
    misfit: Misfit


class Pair(NamedTuple):
    """A step s, the change y of the gradient along it, and <s, y>."""

    step: Vector
    change: Vector
    product: float


@dataclass
class Search:
    """The pairs and the preconditioner of the search."""

    workers: int
    """Threads of Fourier transforms on the host."""
    filters: Any = None
    """K of the object; None: the object is not updated."""
    iterations: int = 0
    """Iterations of this search."""
    point: Point | None = None
    """The results at the end of the last iteration."""
    pairs: list[Pair] = field(default_factory=list)
    """The last pairs, the newest last."""
    scale: float = FIRST
    """gamma."""

    def reset(self) -> None:
        """Remove the pairs, so that the next direction is the preconditioned gradient."""
        self.pairs, self.scale = [], FIRST


class HasSearch(Protocol):
    """A memory with a search; None: the search has not started."""

    search: Search | None


def step(state: State, backend: Backend, stage: StageSettings, memory: HasSearch) -> Misfit:
    """Do one iteration in place and return the misfit before it."""
    object_step = active_step(stage.object_update, OBJECT, state.iteration)
    probe_step = active_step(stage.probe_update, PROBE, state.iteration)
    steps = object_step, probe_step
    if steps == (None, None):
        return backend.misfit(state, backend.problem.used)
    search = current_search(state, backend, steps, memory)
    start = search.point if search.point and only_algorithm_updates(stage) else evaluate(state, backend, stage, steps)
    direction, slope = descent_direction(search, start)
    end, length = start, 0.0
    if slope > 0:
        end, length = line_search(state, backend, stage, steps, start, direction, slope)
    store_pair(search, start, end, direction, length)
    search.point = end
    return start.misfit


def only_algorithm_updates(stage: StageSettings) -> bool:
    """Return whether only the algorithm changes the state, so that the last pass is valid in the next iteration."""
    return not stage.refinements and stage.object_constraints is None and stage.probe_constraints is None


def current_search(state: State, backend: Backend, steps: Steps, memory: HasSearch) -> Search:
    """Return the search of the last iteration, or a new one, with the preconditioner of this iteration."""
    search = memory.search = memory.search or Search(backend.threads)
    if steps[0] and search.iterations in EPS_SCHEDULE:
        spacing = 1.0 if state.slice_spacing is None else float(state.slice_spacing)
        overlap = overlaps(backend.problem, arrays.to_host(state.probe), spacing)
        search.filters = arrays.on_device_of(state.object, inverse(overlap, EPS_SCHEDULE[search.iterations]))
    search.iterations += 1
    return search


def evaluate(state: State, backend: Backend, stage: StageSettings, steps: Steps) -> Point:
    """Return loss, gradient and weights from a pass over all frames."""
    object_step, probe_step = steps
    frames, noise = backend.problem.used, stage.noise or "amplitude"
    sums = backend.gather(state, frames, object=object_step is not None, probe=probe_step is not None, noise=noise)
    gradient, weights = [], []
    if object_step:
        gradient.append(arrays.copy(sums.object))
        root = inverse_curvature(sums.probe_density, object_step) ** 0.5
        weights.append(root * state.object.conj() / (abs(state.object) + TINY))
    if probe_step:
        gradient.append(arrays.copy(sums.probe))
        weights.append(inverse_curvature(sums.object_density, probe_step))
    return Point(gradient, weights, float(sums.loss), sums.misfit)


def inverse_curvature(curvature: Any, step: Step) -> Any:
    """Return the length of the step over the regularised curvature."""
    return step.length / ((1 - step.alpha) * curvature + (step.alpha * curvature.max() + TINY))


def preconditioned(search: Search, weights: Vector, vector: Vector) -> Vector:
    """Return B times a vector."""
    if search.filters is None:
        return [weights[0] * vector[0]]
    obj = weights[0].conj() * precondition(search.filters, weights[0] * vector[0], search.workers)
    return [obj, *(weight * array for weight, array in zip(weights[1:], vector[1:], strict=True))]


def descent_direction(search: Search, point: Point) -> tuple[Vector, float]:
    """Return h and <g, h>; if the loss would not decrease along h, remove the pairs and take B g instead."""
    direction = quasi_newton_direction(search, point)
    slope = dot(point.gradient, direction)
    if slope > 0 or not search.pairs:
        return direction, slope
    search.reset()
    return descent_direction(search, point)


def quasi_newton_direction(search: Search, point: Point) -> Vector:
    """Return h."""
    vector, factors = [arrays.copy(array) for array in point.gradient], []
    for pair in reversed(search.pairs):
        factors.append(dot(pair.step, vector) / pair.product)
        add(vector, pair.change, -factors[-1])
    vector = preconditioned(search, point.weights, vector)
    for array in vector:
        array *= search.scale
    for pair, factor in zip(search.pairs, reversed(factors), strict=True):
        add(vector, pair.step, factor - dot(pair.change, vector) / pair.product)
    return vector


def line_search(
    state: State, backend: Backend, stage: StageSettings, steps: Steps, start: Point, direction: Vector, slope: float
) -> tuple[Point, float]:
    """Move along a direction in place until the loss is lower.

    A step that is too long is replaced by one to the zero of the secant through the slopes at both ends.

    Returns
    -------
    Point
        The results at the new object and probe.
    float
        Length of the step; 0 if no length was short enough.
    """
    targets = [target for target, step in zip((state.object, state.probe), steps, strict=True) if step]
    taken, length = 0.0, 1.0
    for _ in range(TRIALS):
        add(targets, direction, length - taken)
        taken, end = length, evaluate(state, backend, stage, steps)
        if end.loss <= start.loss - SUFFICIENT * 2 * length * slope:
            return end, length
        slope_change = slope - dot(end.gradient, direction)
        length *= min(0.5, max(0.1, slope / slope_change)) if slope_change > 0 else 0.1
    add(targets, direction, -taken)
    return start, 0.0


def store_pair(search: Search, start: Point, end: Point, direction: Vector, length: float) -> None:
    """Add the pair of a step; remove all pairs after a step of length 0."""
    if length == 0:
        search.reset()
        return
    for array in direction:
        array *= length
    change = [a - b for a, b in zip(start.gradient, end.gradient, strict=True)]
    product = dot(direction, change)
    if product > 0:
        search.pairs = [*search.pairs[1 - PAIRS :], Pair(direction, change, product)]
        search.scale = product / dot(change, preconditioned(search, end.weights, change))


def dot(a: Vector, b: Vector) -> float:
    """Return <a, b>."""
    return sum(float(arrays.inner(x, y)) for x, y in zip(a, b, strict=True))


def add(targets: Vector, vector: Vector, factor: float) -> None:
    """Add a vector times a factor in place."""
    for target, array in zip(targets, vector, strict=True):
        target += factor * array
