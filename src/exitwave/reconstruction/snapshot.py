"""A snapshot of a run between two iterations, from which another process continues with the same bits."""

import json
from dataclasses import dataclass, fields
from typing import Any

from numpy.typing import NDArray

from exitwave.engine.snapshot import Packer, Unpacker
from exitwave.engine.state import State
from exitwave.errors import InputError
from exitwave.reconstruction.run import Run

HISTORY = (
    "errors", "holdout_errors", "holdout_deviances", "earlier_iterations", "algorithm", "findings", "seconds",
    "frames_done", "starting_object", "assumed_distance",
)  # fmt: skip
"""The attributes of a `Run` that a snapshot holds."""


@dataclass(frozen=True)
class Snapshot:
    """A run of one process after an iteration."""

    description: str
    """JSON; see `engine.snapshot`."""
    arrays: list[NDArray[Any]]
    """The arrays of the description, by number."""

    @property
    def size(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays)

    def copied(self) -> "Snapshot":
        """Return the same with copies of the arrays, so that the run may change its own."""
        return Snapshot(self.description, [array.copy() for array in self.arrays])


def take(run: Run) -> Snapshot:
    """Return a snapshot of a run after its last iteration, with the arrays of the run. Collective."""
    live, grids, packer = run.live, run.two_grids, Packer()
    content: dict[str, Any] = {"history": {name: getattr(run, name) for name in HISTORY}}
    content["digest"] = run.communicator.first(run.digest)
    if live.parts is None:
        content |= {"stage": live.number + 1, "state": vars(run.on_the_fine_grid())}
    else:
        runner, stop = live.parts
        content |= {"stage": live.number, "runner": runner.snapshot(), "stop": stop.snapshot()}
        content["state"] = vars(grids.coarse if grids else run.state)
        if grids:
            content["grids"] = {"fine": vars(grids.fine), "start": vars(grids.start)}
    return Snapshot(json.dumps(packer.pack(content)), packer.arrays)


class Restored:
    """The content of a snapshot, which a new run of the same scan and recipe takes over.

    Parameters
    ----------
    snapshot : Snapshot
        The snapshot. Its arrays become those of the run.
    device : str
        Device of the run.
    """

    def __init__(self, snapshot: Snapshot, device: str) -> None:
        self._content = Unpacker(snapshot.arrays, device).unpack(json.loads(snapshot.description))
        self.stage = int(self._content["stage"])
        """Number of the stage in which the run continues, from 0."""

    def restore_history(self, run: Run) -> None:
        """Give a run its history; between two stages also its state.

        Raises
        ------
        InputError
            If the input file has changed since the snapshot.
        """
        digest = run.communicator.first(run.digest)
        if digest != self._content["digest"]:
            remedy = "Restore the file, or start again without --resume"
            raise InputError("The input has changed since the checkpoint", where=run.scan.path or "", remedy=remedy)
        before = dict(run.seconds)
        for name, value in self._content["history"].items():
            setattr(run, name, value)
        for name in ("prepare", "compile"):
            run.seconds[name] = run.seconds.get(name, 0.0) + before.get(name, 0.0)
        if "runner" not in self._content:
            _fill(run.state, self._content["state"])

    def restore_stage(self, run: Run, state: State) -> None:
        """Give the first stage of a run its state and its memories, if the snapshot was taken during a stage."""
        content = self._content
        if "runner" not in content or run.live.parts is None:
            return
        runner, stop = run.live.parts
        _fill(state, content["state"])
        runner.restore(content["runner"])
        stop.restore(content["stop"])
        if run.two_grids is not None:
            _fill(run.two_grids.fine, content["grids"]["fine"])
            _fill(run.two_grids.start, content["grids"]["start"])


def _fill(state: State, values: dict[str, Any]) -> None:
    """Replace the fields of a state."""
    for entry in fields(State):
        setattr(state, entry.name, values[entry.name])
