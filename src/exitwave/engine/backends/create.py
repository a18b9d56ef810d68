"""The backends by the devices that they run on."""

from exitwave.engine.backend import Backend
from exitwave.engine.backends.cpu import multislice as cpu_slices
from exitwave.engine.backends.cpu.threads import default_threads
from exitwave.engine.parallel.passes import DistributedBackend
from exitwave.engine.problem import Problem
from exitwave.engine.state import State


def make_backend(problem: Problem, modes: int, threads: int | None = None, device: str = "cpu") -> Backend:
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
    if problem.local_frames is not None:
        return DistributedBackend(problem, lambda part: make_backend(part, modes, threads, device))
    if device == "cpu":
        return cpu_slices.make_backend(problem, modes, threads)
    import torch

    from exitwave.engine.backends.cuda.multislice import MultisliceTorchBackend
    from exitwave.engine.backends.cuda.passes import TorchBackend

    if device == "torch-cpu" and threads is not None:
        torch.set_num_threads(threads)
    place = torch.device(device.removeprefix("torch-"))
    if place.type == "cuda":
        torch.cuda.set_device(place)  # where Triton's kernels run
    return (MultisliceTorchBackend if problem.slices else TorchBackend)(
        problem, modes, place, threads or default_threads()
    )


def move_to_backend(state: State, backend: Backend) -> None:
    """Move object and probe of a state to the device of a backend."""
    state.object, state.probe = backend.take(state.object), backend.take(state.probe)
