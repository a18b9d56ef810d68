"""Adam on the gradient of a noise model, in mini-batches.

For every batch t, with g minus the gradient of the loss with respect to conj(O) over its frames (and the same for P):

    m <- b1 m + (1 - b1) g          v <- b2 v + (1 - b2) |g|^2
    u = sqrt(v / (1 - b2^t))
    O <- O + step_O * s * m / (1 - b1^t) / ((1 - alpha_O) u + alpha_O max u),   s = rms of O

D. P. Kingma and J. Ba, Int. Conf. Learning Representations (2015), for complex numbers: a pixel's step does not depend
on the axes of the complex plane. alpha takes the place of their epsilon: it keeps a pixel that the beam hardly sees
from taking steps as long as those of all others. The steps shrink to `LAST` of their length over the iterations, so
that the noise of single batches averages out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine import arrays
from exitwave.engine.algorithms import rpie
from exitwave.engine.algorithms.algorithm import Algorithm
from exitwave.engine.algorithms.batches import batches
from exitwave.engine.algorithms.epie import choose
from exitwave.engine.backend import Backend, Misfit, Step
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import QuantityMemory, State

OBJECT, PROBE = Step(0.1, 0.1), Step(0.1, 0.1)
"""Length and alpha of the steps, where the stage does not say."""
FIRST, SECOND = 0.9, 0.99
"""b1 and b2: what the running means of g and of |g|^2 keep."""
ROWS = 64
"""Rows whose running means are taken at a time."""
LAST = 0.05
"""Length of the last steps, relative to the first."""


@dataclass
class _Moments:
    """The running means of one quantity, and over how many batches they run."""

    first: NDArray[np.complexfloating[Any]]
    second: NDArray[np.floating[Any]]
    batches: int = 0


def step(state: State, backend: Backend, stage: StageSettings, memory: QuantityMemory) -> Misfit:
    """Do one iteration in place and return its misfit."""
    object_step = choose(stage.object_update, OBJECT, state.iteration)
    probe_step = choose(stage.probe_update, PROBE, state.iteration)
    length = max(LAST, 1 - (1 - LAST) * state.iteration / stage.iterations)
    frames, noise = backend.problem.used, stage.noise or "amplitude"
    size = stage.batch or rpie.batch_size(frames)
    difference = signal = 0.0
    for batch in batches(stage.batching or "random", state.rng, frames, size, backend.problem.pixels):
        sums = backend.gather(state, batch, object=object_step is not None, probe=probe_step is not None, noise=noise)
        if object_step:
            memory.object = memory.object or moments(state.object)
            descend(backend, state.object, sums.object, memory.object, object_step, length)
        if probe_step:
            memory.probe = memory.probe or moments(state.probe)
            descend(backend, state.probe, sums.probe, memory.probe, probe_step, length)
        difference, signal = difference + sums.misfit.difference, signal + sums.misfit.signal
    return Misfit(difference, signal)


def moments(quantity: NDArray[np.complexfloating[Any]]) -> _Moments:
    """Return running means of 0, as they are before the first batch."""
    return _Moments(arrays.zeros_like(quantity), arrays.zeros_like(quantity.real))


def descend(
    backend: Backend,
    target: NDArray[np.complexfloating[Any]],
    gradient: NDArray[np.complexfloating[Any]],
    means: _Moments,
    step: Step,
    length: float,
) -> None:
    """Add a gradient to the running means, and the step that they give to the target in place."""
    means.batches += 1
    spread = arrays.zeros_like(means.second)
    for new, first, second, root in arrays.row_blocks(ROWS, gradient, means.first, means.second, spread):
        first += (1 - FIRST) * (new - first)
        second += (1 - SECOND) * (new.real**2 + new.imag**2 - second)
        root[:] = (second / (1 - SECOND**means.batches)) ** 0.5
    scale = backend.problem.tile.rms(target) / (1 - FIRST**means.batches)
    for mode in range(len(target)) if target.ndim == 3 else (...,):
        backend.descend(target[mode], means.first[mode], spread[mode], Step(step.length * length * scale, step.alpha))


ALGORITHM = Algorithm(
    "Adam",
    step,
    iterations=60,
    settings=frozenset({"batch", "batching", "noise"}),
    memory=QuantityMemory,
    slices=True,
    fly_scan=True,
)
