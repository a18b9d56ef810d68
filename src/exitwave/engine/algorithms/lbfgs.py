"""Maximum likelihood of a thick sample by limited-memory BFGS.

The exit wave of several slices is not linear in them, so that no line through them is a polynomial (`ml`). What takes
the place of its exact line search is what pairs of the last steps s and of the changes y of the gradient tell of the
curvature. With L the loss of a noise model (`backend.Noise`) and g minus its gradient with respect to conj(O) and
conj(P) over all frames, and <a, b> = Re sum conj(a) b over object and probe, the direction h is, of the last pairs from
the newest to the oldest and back,

    q = g;          a_i = <s_i, q> / <s_i, y_i>,    q <- q - a_i y_i
    h = gamma B q;  b_i = <y_i, h> / <s_i, y_i>,    h <- h + (a_i - b_i) s_i,     gamma = <s, y> / <y, B y> (newest)

J. Nocedal and S. J. Wright, Numerical Optimization, 2nd ed. (2006), algorithm 7.4. B is the preconditioner

    B_O = U W^-1/2 K W^-1/2 conj(U),   W = ((1 - alpha_O) sum_jk |P_k|^2 + alpha_O max sum_jk |P_k|^2) / step_O
    B_P = step_P / ((1 - alpha_P) sum_j |O_1|^2 + alpha_P max sum_j |O_1|^2)

with P the wave that enters a slice, U = O / |O|, and K that tells the slices apart (`unmix`). What slices may exchange,
and frames hardly tell, is a factor: coarse detail D that makes them O_1 D and O_2 / D. It is coarse in the logarithms,
whose gradient is conj(O) g and whose curvature is W |O|^2; as a change of O, it has all the detail that O has. Hence U.
K comes by and by (`LIFTS`): coarse detail of a difference that follows what is still wrong in the sum goes astray.

The step is h, or shorter until the loss is lower; one pass over the frames is nearly always enough for an iteration.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from exitwave.engine import arrays
from exitwave.engine.algorithms.epie import choose
from exitwave.engine.algorithms.slice_preconditioner import EPS, inverse, overlaps, precondition
from exitwave.engine.backend import Backend, Misfit, Step
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import State

OBJECT, PROBE = Step(1.0, 0.05), Step(1.0, 0.1)
"""Length and alpha of the steps, where the stage does not say."""
PAIRS = 5
"""Pairs of steps and changes that are kept, each as large as twice object and probe."""
FIRST = 0.5
"""Length of a step of which no pairs are known: object and probe could each take all of the correction."""
TRIALS = 6
"""Passes of an iteration, at most."""
ENOUGH = 1e-4
"""Part of what the slope promises by which the loss must fall."""
LIFTS = {0: 10.0, 20: 0.3, 40: EPS}
"""eps of `unmix` from an iteration of the search on; at 10 all slices still keep their gradients."""
TINY = 1e-20
"""Keeps what is 0 from dividing."""
Vector = list[Any]
"""An array for each quantity that is updated, of object and probe."""
Steps = tuple[Step | None, Step | None]


class Point(NamedTuple):
    """What a pass over the frames has told."""

    pull: Vector
    """Minus the gradient."""
    weights: Vector
    """W^-1/2 conj(U), and B_P."""
    loss: float
    misfit: Misfit


class Pair(NamedTuple):
    """A step, the change of the gradient along it, and their product."""

    step: Vector
    change: Vector
    product: float


@dataclass
class Search:
    """The pairs and the preconditioner of the search so far."""

    workers: int
    """Threads of Fourier transforms on the host."""
    filters: Any = None
    """K of the object; None where that is left alone."""
    age: int = 0
    """Iterations of this search."""
    here: Point | None = None
    pairs: list[Pair] = field(default_factory=list)
    scale: float = FIRST
    """gamma."""

    def forget(self) -> None:
        """Begin with the gradient again."""
        self.pairs, self.scale = [], FIRST


class HasSearch(Protocol):
    """The memory of the algorithm that uses this search."""

    search: Search | None


def step(state: State, backend: Backend, stage: StageSettings, memory: HasSearch) -> Misfit:
    """Do one iteration in place and return its misfit."""
    steps = choose(stage.object_update, OBJECT, state.iteration), choose(stage.probe_update, PROBE, state.iteration)
    if steps == (None, None):
        return backend.misfit(state, backend.problem.used)
    search = recall(state, backend, steps, memory)
    here = search.here if search.here and alone(stage) else look(state, backend, stage, steps)
    line, slope = downhill(search, here)
    there, length = line_search(state, backend, stage, steps, here, line, slope) if slope > 0 else (here, 0.0)
    learn(search, here, there, line, length)
    search.here = there
    return here.misfit


def alone(stage: StageSettings) -> bool:
    """Say whether nothing else moves what this algorithm has found, so that what a pass has told stays true."""
    return not stage.refinements and stage.object_constraints is None and stage.probe_constraints is None


def recall(state: State, backend: Backend, steps: Steps, memory: HasSearch) -> Search:
    """Return the search of the iteration before, or a new one, with the preconditioner of this iteration."""
    search = memory.search = memory.search or Search(backend.threads)
    if steps[0] and search.age in LIFTS:
        spacing = 1.0 if state.slice_spacing is None else float(state.slice_spacing)
        found = overlaps(backend.problem, arrays.to_host(state.probe), spacing)
        search.filters = arrays.on_device_of(state.object, inverse(found, LIFTS[search.age]))
    search.age += 1
    return search


def look(state: State, backend: Backend, stage: StageSettings, steps: Steps) -> Point:
    """Pass over all frames."""
    of_object, of_probe = steps
    frames, noise = backend.problem.used, stage.noise or "amplitude"
    sums = backend.gather(state, frames, object=of_object is not None, probe=of_probe is not None, noise=noise)
    pull, weights = [], []
    if of_object:
        pull.append(arrays.copy(sums.object))
        weights.append(weight(sums.probe_density, of_object) ** 0.5 * state.object.conj() / (abs(state.object) + TINY))
    if of_probe:
        pull.append(arrays.copy(sums.probe))
        weights.append(weight(sums.object_density, of_probe))
    return Point(pull, weights, float(sums.loss), sums.misfit)


def weight(curvature: Any, step: Step) -> Any:
    """Return the step's length over the regularised curvature."""
    return step.length / ((1 - step.alpha) * curvature + (step.alpha * curvature.max() + TINY))


def preconditioned(search: Search, weights: Vector, vector: Vector) -> Vector:
    """Return B of a vector."""
    if search.filters is None:
        return [weights[0] * vector[0]]
    obj = weights[0].conj() * precondition(search.filters, weights[0] * vector[0], search.workers)
    return [obj, *(b * each for b, each in zip(weights[1:], vector[1:], strict=True))]


def downhill(search: Search, here: Point) -> tuple[Vector, float]:
    """Return h and <g, h>; pairs with which the loss would not fall along h are forgotten."""
    line = direction(search, here)
    slope = dot(here.pull, line)
    if slope > 0 or not search.pairs:
        return line, slope
    search.forget()
    return downhill(search, here)


def direction(search: Search, here: Point) -> Vector:
    """Return h."""
    line, parts = [arrays.copy(each) for each in here.pull], []
    for pair in reversed(search.pairs):
        parts.append(dot(pair.step, line) / pair.product)
        add(line, pair.change, -parts[-1])
    line = preconditioned(search, here.weights, line)
    for each in line:
        each *= search.scale
    for pair, part in zip(search.pairs, reversed(parts), strict=True):
        add(line, pair.step, part - dot(pair.change, line) / pair.product)
    return line


def line_search(
    state: State, backend: Backend, stage: StageSettings, steps: Steps, here: Point, line: Vector, slope: float
) -> tuple[Point, float]:
    """Go along a line in place until the loss is lower, and return what is there and how far that is.

    A step that is too long becomes one to where the secant through the slopes is 0; where none is short enough it is 0.
    """
    targets = [target for target, each in zip((state.object, state.probe), steps, strict=True) if each]
    gone, length = 0.0, 1.0
    for _ in range(TRIALS):
        add(targets, line, length - gone)
        gone, there = length, look(state, backend, stage, steps)
        if there.loss <= here.loss - ENOUGH * 2 * length * slope:
            return there, length
        bend = slope - dot(there.pull, line)
        length *= min(0.5, max(0.1, slope / bend)) if bend > 0 else 0.1
    add(targets, line, -gone)
    return here, 0.0


def learn(search: Search, here: Point, there: Point, line: Vector, length: float) -> None:
    """Keep what a step has told; one of length 0 tells that the pairs are no good."""
    if length == 0:
        search.forget()
        return
    for each in line:
        each *= length
    change = [a - b for a, b in zip(here.pull, there.pull, strict=True)]
    product = dot(line, change)
    if product > 0:
        search.pairs = [*search.pairs[1 - PAIRS :], Pair(line, change, product)]
        search.scale = product / dot(change, preconditioned(search, there.weights, change))


def dot(a: Vector, b: Vector) -> float:
    """Return <a, b>."""
    return sum(float(arrays.inner(one, other)) for one, other in zip(a, b, strict=True))


def add(targets: Vector, vector: Vector, factor: float) -> None:
    """Add so much of a vector in place."""
    for target, each in zip(targets, vector, strict=True):
        target += factor * each
