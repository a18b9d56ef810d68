"""The definition of an algorithm: its update rule, its settings and what it supports."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from exitwave.engine.backend import Backend, Misfit
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import Memory, State

M = TypeVar("M", bound=Memory)
OPTIONAL = frozenset({"batch", "batching", "noise", "relaxation", "decay", "regularisation"})
"""Settings of a stage that only some algorithms use."""


def _accept(stage: StageSettings) -> None:
    """Accept all settings."""


@dataclass(frozen=True)
class Algorithm(Generic[M]):
    """An algorithm, as each file of `exitwave.engine.algorithms` and each plug-in defines one."""

    name: str
    """Name in recipes, results and messages."""
    step: Callable[[State, Backend, StageSettings, M], Misfit]
    """Function that does one iteration in place and returns the misfit of the model before it. Its arguments are the
    state, the backend, the settings of the stage and the memory of the algorithm."""
    iterations: int = 100
    """Default number of iterations: enough to converge on a scan with usual overlap, if the defocus of the starting
    probe is wrong by 15 %."""
    settings: frozenset[str] = frozenset()
    """The settings of `OPTIONAL` that it uses; the others are refused."""
    memory: Callable[[], M] = Memory  # type: ignore[assignment]
    """Function that returns the memory from one iteration to the next; called at the start of a stage."""
    slices: bool = False
    """Whether it supports a thick sample of several slices."""
    fly_scan: bool = False
    """Whether it supports a fly scan, with several exposures in a frame."""
    processes: bool = True
    """Whether the frames may be distributed over several processes. Not possible with an update after every frame."""
    keeps_waves: bool = False
    """Whether it stores exit waves from one iteration to the next, so that positions cannot be refined."""
    refines_positions: bool = False
    """Whether it refines the positions itself, jointly with object and probe."""
    check: Callable[[StageSettings], None] = _accept
    """Function of the settings of a stage that raises ValueError for combinations that it does not support."""


class Runner:
    """Run the iterations of one algorithm with its memory.

    Parameters
    ----------
    algorithm : Algorithm
        The algorithm.
    stage : StageSettings
        The settings of the stage.
    """

    def __init__(self, algorithm: Algorithm[M], stage: StageSettings) -> None:
        self._algorithm, self._stage, self._memory = algorithm, stage, algorithm.memory()
        self._last_updated: frozenset[str] = frozenset()
        self._restarts = 0

    def iterate(self, state: State, backend: Backend) -> Misfit:
        """Do one iteration in place and return the misfit before it.

        Before the iteration, the memory receives the names of the quantities that the last iteration updated. It is
        reset if a constraint has changed object and probe together.
        """
        if state.restarts != self._restarts:
            self._restarts, self._last_updated = state.restarts, frozenset()
            self._memory.restart()
        updated = self._stage.updated(state.iteration)
        self._memory.resume(self._last_updated, updated)
        misfit = self._algorithm.step(state, backend, self._stage, self._memory)
        self._last_updated = updated
        return misfit

    def snapshot(self) -> dict[str, Any]:
        """Return what the next iteration depends on, for a checkpoint."""
        return {"memory": vars(self._memory), "last_updated": self._last_updated, "restarts": self._restarts}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        vars(self._memory).update(snapshot["memory"])
        self._last_updated, self._restarts = snapshot["last_updated"], snapshot["restarts"]
