"""The backends by the devices that they run on."""

from typing import TYPE_CHECKING, Union

from exitwave.engine.backends.cpu import multislice as cpu_slices
from exitwave.engine.backends.cpu.passes import CpuSweeps
from exitwave.engine.backends.cpu.threads import default_threads
from exitwave.engine.parallel.passes import SharedSweeps
from exitwave.engine.problem import Problem
from exitwave.engine.state import State

if TYPE_CHECKING:
    from exitwave.engine.backends.cuda.passes import TorchSweeps

Backend = Union[CpuSweeps, "TorchSweeps", SharedSweeps]


def make_sweeps(problem: Problem, modes: int, threads: int | None = None, device: str = "cpu") -> Backend:
    """Return the sweeps for a problem, of a thin or a thick sample, in one process or in several.

    Parameters
    ----------
    problem : Problem
        The frames and their positions, and the processes that carry them.
    modes : int
        Number of probe modes.
    threads : int or None
        Threads of the host; None takes every core.
    device : str
        Where they run, as `device.resolve` returns it.

    Raises
    ------
    InputError
        If the device has too little memory, or its sweeps cannot do this problem.
    """
    if problem.carried is not None:
        return SharedSweeps(problem, lambda part: make_sweeps(part, modes, threads, device))
    if device == "cpu":
        return cpu_slices.make_sweeps(problem, modes, threads)
    import torch

    from exitwave.engine.backends.cuda.multislice import SlicedTorchSweeps
    from exitwave.engine.backends.cuda.passes import TorchSweeps

    if device == "torch-cpu" and threads is not None:
        torch.set_num_threads(threads)
    place = torch.device(device.removeprefix("torch-"))
    if place.type == "cuda":
        torch.cuda.set_device(place)  # where Triton's kernels run
    return (SlicedTorchSweeps if problem.slices else TorchSweeps)(problem, modes, place, threads or default_threads())


def take(state: State, sweeps: Backend) -> None:
    """Bring object and probe of a state to where the passes are."""
    if hasattr(sweeps, "tensor"):
        state.object, state.probe = sweeps.tensor(state.object), sweeps.tensor(state.probe)
