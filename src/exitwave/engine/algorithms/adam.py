"""Adam: adaptive moment estimation on the gradient of a noise model, in mini-batches.

For every batch t, with g minus the gradient of the loss with respect to conj(O) over its frames (and the same for P):

    m <- b1 m + (1 - b1) g          v <- b2 v + (1 - b2) |g|^2
    u = sqrt(v / (1 - b2^t))
    O <- O + step_O * s * m / (1 - b1^t) / ((1 - alpha_O) u + alpha_O max u),   s = rms of O

D. P. Kingma and J. Ba, Int. Conf. Learning Representations (2015), for complex numbers: |g|^2 replaces the squares of
real and imaginary part, so that the step of a pixel does not depend on the axes of the complex plane. alpha replaces
their epsilon: without it a weakly illuminated pixel would take steps as long as those of all others. The lengths of
the steps decrease linearly to `LAST` over the iterations, so that the noise of single batches averages out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine import arrays
from exitwave.engine.algorithms.algorithm import Algorithm
from exitwave.engine.algorithms.batches import batches, default_batch_size
from exitwave.engine.algorithms.steps import active_step
from exitwave.engine.backend import Backend, Misfit, Step
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import QuantityMemory, State

OBJECT, PROBE = Step(0.1, 0.1), Step(0.1, 0.1)
"""Default length and alpha of the steps."""
B1, B2 = 0.9, 0.99
"""b1 and b2, the decay rates of the running means of g and of |g|^2."""
LAST = 0.05
"""Length of the last steps, relative to the first."""
ROWS = 64
"""Rows of the arrays that are processed at a time, to limit memory."""


@dataclass
class Moments:
    """The running means of one quantity."""

    first: NDArray[np.complexfloating[Any]]
    """m, with the shape of the quantity."""
    second: NDArray[np.floating[Any]]
    """v, with the shape of the quantity."""
    batches: int = 0
    """t, the batches done."""


def step(state: State, backend: Backend, stage: StageSettings, memory: QuantityMemory) -> Misfit:
    """Do one iteration in place and return the misfit before it."""
    object_step = active_step(stage.object_update, OBJECT, state.iteration)
    probe_step = active_step(stage.probe_update, PROBE, state.iteration)
    length = max(LAST, 1 - (1 - LAST) * state.iteration / stage.iterations)
    frames, noise = backend.problem.used, stage.noise or "amplitude"
    size = stage.batch or default_batch_size(len(frames))
    difference = signal = 0.0
    for batch in batches(stage.batching or "random", state.rng, frames, size, backend.problem.pixels):
        sums = backend.gather(state, batch, object=object_step is not None, probe=probe_step is not None, noise=noise)
        if object_step:
            memory.object = memory.object or initial_moments(state.object)
            descend(backend, state.object, sums.object, memory.object, object_step, length)
        if probe_step:
            memory.probe = memory.probe or initial_moments(state.probe)
            descend(backend, state.probe, sums.probe, memory.probe, probe_step, length)
        difference, signal = difference + sums.misfit.difference, signal + sums.misfit.signal
    return Misfit(difference, signal)


def initial_moments(quantity: NDArray[np.complexfloating[Any]]) -> Moments:
    """Return the running means before the first batch, which are 0."""
    return Moments(arrays.zeros_like(quantity), arrays.zeros_like(quantity.real))


def descend(
    backend: Backend,
    target: NDArray[np.complexfloating[Any]],
    gradient: NDArray[np.complexfloating[Any]],
    moments: Moments,
    step: Step,
    length: float,
) -> None:
    """Add g to the running means, and the resulting step to the target, both in place."""
    moments.batches += 1
    spread = arrays.zeros_like(moments.second)
    for g, m, v, u in arrays.row_blocks(ROWS, gradient, moments.first, moments.second, spread):
        m += (1 - B1) * (g - m)
        v += (1 - B2) * (g.real**2 + g.imag**2 - v)
        u[:] = (v / (1 - B2**moments.batches)) ** 0.5
    scale = backend.problem.tile.rms(target) / (1 - B1**moments.batches)
    for mode in range(len(target)) if target.ndim == 3 else (...,):
        backend.descend(target[mode], moments.first[mode], spread[mode], Step(step.length * length * scale, step.alpha))


ALGORITHM = Algorithm(
    "Adam",
    step,
    iterations=60,
    settings=frozenset({"batch", "batching", "noise"}),
    memory=QuantityMemory,
    slices=True,
    fly_scan=True,
)
