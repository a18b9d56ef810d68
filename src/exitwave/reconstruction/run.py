"""The run of a reconstruction, from its start to its result."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import Backend
from exitwave.engine.model.runner import StageRunner
from exitwave.engine.parallel.communicator import ONE_PROCESS, Communicator
from exitwave.engine.problem import Problem
from exitwave.engine.recipe import Recipe
from exitwave.engine.state import State, host_state
from exitwave.errors import Finding
from exitwave.frames.input_record import InputRecord
from exitwave.reconstruction.coarse import TwoGrids
from exitwave.reconstruction.joint import JointScan
from exitwave.reconstruction.loading import Grid
from exitwave.reconstruction.stopping import StopCriterion
from exitwave.scan import Decision, Scan


@dataclass
class LiveStage:
    """The stage that is running, or that has ended last."""

    number: int = 0
    """Number of the stage, from 0."""
    parts: tuple[StageRunner, StopCriterion] | None = None
    """What the stage consists of beside the state; None: it has ended."""


@dataclass
class Run:
    """Problem, state and history of one run."""

    scan: Scan
    recipe: Recipe
    problem: Problem
    backends: dict[int, Backend]
    """Backends by the coarse factor of their frames; 1: whole frames."""
    state: State
    grid: Grid
    z: NDArray[np.float64] | None
    """Positions of the slices along the beam in metres before any refinement; None: thin sample."""
    positions: NDArray[np.float64]
    """Positions in metres at the start of the run, shape (npos, 3)."""
    device: str
    """Device of the passes, see `device.resolve`."""
    assumed_distance: float
    """Detector distance in metres before any refinement."""
    errors: list[float]
    holdout_errors: list[float]
    holdout_deviances: list[float]
    digest: Callable[[], str]
    """Returns the SHA-256 of the input file."""
    records: tuple[InputRecord, ...]
    """What was recorded of the frames: one record for each scan of a joint reconstruction, else one."""
    earlier_iterations: int
    """Iterations of earlier runs that this one continues."""
    algorithm: str = ""
    stopped_by: str = "interrupted"
    findings: tuple[Finding, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    frames_done: int = 0
    """Frames times iterations in this run."""
    command: str = ""
    """The command that is stored in the provenance of the result."""
    choices: tuple[Decision, ...] = ()
    """What was chosen for the run automatically, and why."""
    joint: JointScan | None = None
    """The scans of a joint reconstruction."""
    communicator: Communicator = ONE_PROCESS
    starting_object: Any = 1
    """Object at the start, on the whole grid."""
    live: LiveStage = field(default_factory=LiveStage)
    two_grids: TwoGrids | None = None
    """The state on the fine and the coarse grid, during a coarse stage."""

    def on_the_fine_grid(self) -> State:
        """Return the state on the fine grid, with the changes of a coarse stage."""
        if self.two_grids:
            return replace(self.two_grids, coarse=host_state(self.two_grids.coarse)).merged()
        return host_state(self.state)

    def settings(self) -> dict[str, Any]:
        """Return the recipe with its defaults replaced by the values in use, and the device."""
        resolved: dict[str, Any] = {"modes": len(self.state.probe), "threads": self.backends[1].threads}
        if self.z is not None:
            resolved |= {"slices": len(self.z), "slice_spacing": float(self.z[1])}
        return self.recipe.model_dump(mode="json") | resolved | {"device": self.device}
