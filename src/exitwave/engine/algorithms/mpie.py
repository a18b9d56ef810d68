"""mPIE: rPIE in mini-batches, with momentum.

The batches update object and probe as in `rpie`. After every T batches, with O_before the object right after the last
time, and the same for the probe:

    v <- eta v + (O - O_before)
    O <- O + eta v

A. M. Maiden, D. Johnson and P. Li, Optica 4, 736 (2017).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.algorithms import rpie
from exitwave.engine.algorithms.batches import batches
from exitwave.engine.algorithms.epie import choose
from exitwave.engine.recipe import Stage
from exitwave.engine.sweeps import Misfit, State, Step, Sweeps

OBJECT, PROBE = Step(0.5, 0.1), Step(0.5, 1.0)
"""Length and alpha of the steps, where the stage does not say; the object's alpha settles as that of rPIE."""
ETA, EVERY = 0.7, 4
"""The part of the momentum that is kept, and the batches from one push to the next (T)."""


@dataclass
class _Momentum:
    """What a quantity carries along: where it was after the last push, its velocity, and batches done since."""

    before: NDArray[np.complexfloating]
    velocity: NDArray[np.complexfloating]
    batches: int = 0
    iteration: int = 0


def step(state: State, sweeps: Sweeps, stage: Stage) -> Misfit:
    """Do one iteration in place and return its misfit."""
    object_step = choose(stage.object_update, rpie.settle(OBJECT, state), state.iteration)
    probe_step = choose(stage.probe_update, PROBE, state.iteration)
    moving = [
        (quantity, carried(state, name, quantity))
        for name, quantity, chosen in (("object", state.object, object_step), ("probe", state.probe, probe_step))
        if chosen
    ]
    difference = signal = 0.0
    frames = sweeps.problem.used
    size = stage.batch or rpie.batch_size(frames)
    for batch in batches(stage.batching or "random", state.rng, frames, size, sweeps.problem.pixels):
        misfit = rpie.update(state, sweeps, batch, object_step, probe_step)
        for quantity, momentum in moving:
            push(quantity, momentum)
        difference, signal = difference + misfit.difference, signal + misfit.signal
    return Misfit(difference, signal)


def carried(state: State, name: str, quantity: NDArray[np.complexfloating]) -> _Momentum:
    """Return the momentum of the iteration before, or none where there was no such iteration."""
    last = state.memory.get(f"mPIE {name}")
    if last is None or last.iteration != state.iteration - 1:
        last = state.memory[f"mPIE {name}"] = _Momentum(quantity.copy(), np.zeros_like(quantity))
    last.iteration = state.iteration
    return last


def push(quantity: NDArray[np.complexfloating], momentum: _Momentum) -> None:
    """Count a batch, and push the quantity in place where it is time."""
    momentum.batches += 1
    if momentum.batches % EVERY == 0:
        momentum.velocity *= quantity.dtype.type(ETA)
        momentum.velocity += quantity - momentum.before
        quantity += quantity.dtype.type(ETA) * momentum.velocity
        momentum.before[:] = quantity
