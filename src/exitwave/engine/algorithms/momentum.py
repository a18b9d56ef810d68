"""Momentum between batches.

After every T batches, with O_before the object right after the last time, and the same for the probe:

    v <- eta v + (O - O_before)
    O <- O + eta v

A. M. Maiden, D. Johnson and P. Li, Optica 4, 736 (2017), eq. 19. At T = 1 it is the accelerated gradient of
Y. Nesterov, Dokl. Akad. Nauk SSSR 269, 543 (1983). What changes the same way in batch after batch, above all the low
spatial frequencies, goes up to 1 / (1 - eta) times as far.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.sweeps import State, Step


@dataclass
class Momentum:
    """What a quantity carries along: where it was after the last push, its velocity, and batches done since."""

    before: NDArray[np.complexfloating[Any]]
    velocity: NDArray[np.complexfloating[Any]]
    batches: int = 0
    iteration: int = 0


Moving = list[tuple[NDArray[np.complexfloating[Any]], Momentum]]


def moving(state: State, object_step: Step | None, probe_step: Step | None) -> Moving:
    """Return the quantities that this iteration updates, each with its momentum."""
    both = ("object", state.object, object_step), ("probe", state.probe, probe_step)
    return [(quantity, carried(state, name, quantity)) for name, quantity, step in both if step]


def carried(state: State, name: str, quantity: NDArray[np.complexfloating[Any]]) -> Momentum:
    """Return the momentum of the iteration before, or none where there was no such iteration."""
    last = state.memory.get(f"momentum of the {name}")
    if last is None or last.iteration != state.iteration - 1:
        last = state.memory[f"momentum of the {name}"] = Momentum(quantity.copy(), np.zeros_like(quantity))
    last.iteration = state.iteration
    return last


def push(quantity: NDArray[np.complexfloating[Any]], momentum: Momentum, eta: float, every: int) -> None:
    """Count a batch, and push the quantity in place where it is time."""
    momentum.batches += 1
    if momentum.batches % every == 0:
        velocity, moved, factor = momentum.velocity, momentum.before, quantity.dtype.type(eta)
        np.subtract(quantity, momentum.before, out=moved)  # in the place of what is not needed any more
        velocity *= factor
        velocity += moved
        np.multiply(velocity, factor, out=moved)
        quantity += moved
        momentum.before[:] = quantity
