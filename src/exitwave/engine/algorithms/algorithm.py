"""What an algorithm is: an update rule, and what the rest of the program must know of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from exitwave.engine.backend import Backend, Misfit
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import Memory, State

M = TypeVar("M", bound=Memory)
OPTIONAL = frozenset({"batch", "batching", "noise", "relaxation", "decay"})
"""The settings of a stage that not every algorithm uses."""


def _accept(stage: StageSettings) -> None:
    """Accept all settings."""


@dataclass(frozen=True)
class Algorithm(Generic[M]):
    """An algorithm, as each file of `exitwave.engine.algorithms` and each plug-in defines one."""

    name: str
    """Name in recipes, results and messages."""
    step: Callable[[State, Backend, StageSettings, M], Misfit]
    """Does one iteration in place, and returns the misfit of the model before it. Called with the state, the backend,
    the settings of the stage and the memory of the algorithm."""
    iterations: int = 100
    """Iterations that it takes to converge on a scan with usual overlap, from a probe 15 % off in defocus."""
    settings: frozenset[str] = frozenset()
    """The settings among `OPTIONAL` that it uses; others are refused."""
    memory: Callable[[], M] = Memory  # type: ignore[assignment]
    """Makes what it keeps from one iteration to the next, at the start of a stage."""
    slices: bool = False
    """Whether it supports a thick sample of several slices."""
    fly_scan: bool = False
    """Whether it supports frames of several exposures."""
    processes: bool = True
    """Whether the frames may be divided among processes; not for updates after every frame."""
    keeps_waves: bool = False
    """Whether it keeps exit waves, whose positions cannot be refined."""
    refines_positions: bool = False
    """Whether it refines the positions itself, together with object and probe."""
    check: Callable[[StageSettings], None] = _accept
    """Raises ValueError with a message for combinations of settings that it cannot do."""


class Runner:
    """Runs the iterations of one algorithm, with its memory.

    Parameters
    ----------
    algorithm : Algorithm
        The algorithm.
    stage : StageSettings
        The settings of the stage.
    """

    def __init__(self, algorithm: Algorithm[M], stage: StageSettings) -> None:
        self._algorithm, self._stage, self._memory = algorithm, stage, algorithm.memory()
        self._before: frozenset[str] = frozenset()
        self._restarts = 0

    def iterate(self, state: State, backend: Backend) -> Misfit:
        """Do one iteration in place and return its misfit.

        The memory learns which quantities the iteration before has updated, and starts again where a constraint has
        changed object and probe together.
        """
        if state.restarts != self._restarts:
            self._restarts, self._before = state.restarts, frozenset()
            self._memory.restart()
        now = self._stage.updated(state.iteration)
        self._memory.resume(self._before, now)
        misfit = self._algorithm.step(state, backend, self._stage, self._memory)
        self._before = now
        return misfit
