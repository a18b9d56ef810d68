"""Create the backend for a problem and a device."""

from exitwave.engine.backend import Backend
from exitwave.engine.backends.cpu import multislice as cpu_multislice
from exitwave.engine.backends.cpu.threads import default_threads
from exitwave.engine.parallel.passes import DistributedBackend
from exitwave.engine.problem import Problem
from exitwave.engine.state import State


def make_backend(problem: Problem, modes: int, threads: int | None = None, device: str = "cpu") -> Backend:
    """Return the backend for a problem, for a thin or a thick sample, in one process or in several.

    Parameters
    ----------
    problem : Problem
        Counts and geometry, and the processes between which the frames are divided.
    modes : int
        Number of probe modes.
    threads : int or None
        Threads of the host; None: as many as there are cores.
    device : str
        The device, as `device.resolve` returns it.

    Raises
    ------
    InputError
        If the device has too little memory, or its backend cannot compute this problem.
    """
    if problem.local_frames is not None:
        return DistributedBackend(problem, lambda part: make_backend(part, modes, threads, device))
    if device == "cpu":
        return cpu_multislice.make_backend(problem, modes, threads)
    import torch

    from exitwave.engine.backends.cuda.multislice import MultisliceTorchBackend
    from exitwave.engine.backends.cuda.passes import TorchBackend

    if device == "torch-cpu" and threads is not None:
        torch.set_num_threads(threads)
    torch_device = torch.device(device.removeprefix("torch-"))
    if torch_device.type == "cuda":
        torch.cuda.set_device(torch_device)  # Triton runs its kernels on the current device
    return (MultisliceTorchBackend if problem.slices else TorchBackend)(
        problem, modes, torch_device, threads or default_threads()
    )


def move_to_backend(state: State, backend: Backend) -> None:
    """Move object and probe of a state to the device of a backend."""
    state.object, state.probe = backend.take(state.object), backend.take(state.probe)
