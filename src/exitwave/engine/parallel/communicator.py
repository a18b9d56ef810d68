"""Communication between the processes of one reconstruction, through torch.distributed.

PyTorch is imported only if there are several processes. Sums of arrays on the host use gloo. So does everything that
must be known of all processes before GPUs add up: gloo notices at once when a process has died, because its connections
are closed. Sums of tensors on GPUs use NCCL if every process has a GPU of its own, else gloo over the host.
"""

import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from importlib import util
from typing import Any

import numpy as np

from exitwave.engine.backends import device as devices
from exitwave.engine.parallel.launcher import LaunchInfo
from exitwave.errors import InputError, RunError

JOIN_TIMEOUT = timedelta(minutes=5)
"""How long the first process waits for the others at the start."""
HOST_TIMEOUT = timedelta(minutes=30)
"""How long processes wait for one another: a process may have files to read or loops to compile."""
GPU_TIMEOUT = timedelta(seconds=25)
"""The same for sums on GPUs, which start when all processes are ready."""
Messages = list[tuple[int, Any]]
"""Arrays or tensors with the rank of the process that they go to, or come from. Messages between two processes have the
same order in both."""


class LostProcessError(RunError):
    """Another process of the run has failed or died."""


class Communicator:
    """A run in one process: all collective operations are trivial."""

    rank, size = 0, 1
    lost = False
    """Whether another process has failed or died."""

    def device(self, name: str) -> str:
        """Return the device of this process; see `device.resolve`."""
        return devices.resolve(name)

    def threads(self, wanted: int | None) -> int | None:
        """Return the number of threads of this process."""
        return wanted

    def add(self, *arrays: Any) -> None:
        """Add up arrays or tensors over all processes, in place."""

    def largest(self, value: float) -> float:
        """Return the largest value of all processes."""
        return value

    def exchange(self, sent: Messages, received: Messages) -> None:
        """Send arrays or tensors to other processes, and receive others in place."""

    def first(self, make: Callable[[], Any]) -> Any:
        """Return what the first process makes; the others wait for it."""
        return make()

    def collect(self, value: Any) -> list[Any] | None:
        """Return the values of all processes in the first process, by rank; None in the others."""
        return [value]

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        return flag

    def require_equal(self, what: str, value: Any) -> None:
        """Raise an InputError unless the value is equal in all processes."""

    def saves(self) -> bool:
        """Return whether this process saves the result after a process was lost: true in one remaining process."""
        return True


ONE_PROCESS = Communicator()


class TorchCommunicator(Communicator):
    """A run in several processes.

    Parameters
    ----------
    launch : LaunchInfo
        Rank, number of processes, and the address where they meet.

    Raises
    ------
    InputError
        If PyTorch is not installed.
    RunError
        If the processes do not find each other.
    """

    def __init__(self, launch: LaunchInfo) -> None:
        if not util.find_spec("torch"):
            remedy = "Install it with pip install 'exitwave[cuda]', or start one process"
            found = f"{launch.size} processes"
            raise InputError("Several processes need PyTorch, which is not installed", found=found, remedy=remedy)
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # a lost connection would log a page of C++ frames
        import torch.distributed as dist

        self.rank, self.size, self._dist, self._gpu_group = launch.rank, launch.size, dist, None
        hosted = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"  # torchrun provides the store
        try:
            self._store = dist.TCPStore(
                launch.address,
                launch.port,
                None if hosted else launch.size,
                launch.rank == 0 and not hosted,
                JOIN_TIMEOUT,
            )
            store = dist.PrefixStore("exitwave", self._store)
            dist.init_process_group("gloo", store=store, rank=launch.rank, world_size=launch.size, timeout=HOST_TIMEOUT)
        except RuntimeError as error:
            raise RunError(
                "The processes do not find each other",
                where=f"{launch.address}:{launch.port}",
                found=_short(error),
                remedy="Set MASTER_ADDR and MASTER_PORT alike for all, and GLOO_SOCKET_IFNAME to the network to use",
            ) from None
        with self._detecting_losses():
            self._hosts = self._gather((socket.gethostname(), devices.usable_cores()))

    def device(self, name: str) -> str:
        """Return the device of this process; the processes of a node use its GPUs in turn. Collective."""
        found = devices.resolve(name)
        if name in ("auto", "cuda") and found != "cpu":
            import torch

            found = f"cuda:{self._rank_on_host() % torch.cuda.device_count()}"
        self._set_up_gpu_sums(found)
        return found

    def _set_up_gpu_sums(self, device: str) -> None:
        """Set up sums on GPUs with NCCL, if every process has a GPU of its own."""
        import torch

        gpu = ""
        if device.startswith("cuda"):
            gpu = str(torch.cuda.get_device_properties(device).uuid)
            torch.cuda.set_device(device)
        with self._detecting_losses():
            gpus = self._gather(gpu)
            if all(gpus) and len(set(gpus)) == self.size and self._dist.is_nccl_available():
                os.environ["TORCH_NCCL_BLOCKING_WAIT"] = "1"  # so that a failure is an exception
                self._gpu_group = self._dist.new_group(backend="nccl", timeout=GPU_TIMEOUT)
                # the first operation of NCCL must be one of all processes
                self._dist.all_reduce(torch.zeros(1, device=device), group=self._gpu_group)

    def threads(self, wanted: int | None) -> int | None:
        """Return the number of threads of this process; by default, processes on the same cores share them evenly."""
        from exitwave.engine.backends.cpu.threads import default_threads  # imports numba

        sharing = sum(each == self._hosts[self.rank] for each in self._hosts)
        return wanted or max(1, default_threads() // sharing)

    def _rank_on_host(self) -> int:
        """Return how many processes of lower rank are on the same host."""
        return sum(name == self._hosts[self.rank][0] for name, _ in self._hosts[: self.rank])

    def add(self, *arrays: Any) -> None:
        """Add up arrays or tensors over all processes, in place, with the same bits in all of them.

        Arrays on the host are added concurrently, and before those on GPUs: then all processes are known to be alive.
        """
        tensors = [_real(array) for array in arrays]
        with self._detecting_losses():
            for work in [self._dist.all_reduce(each, async_op=True) for each in tensors if each.is_cpu]:
                work.wait()
            for each in tensors:
                if not each.is_cpu:
                    self._add_on_gpus(each)

    def _add_on_gpus(self, tensor: Any) -> None:
        """Add up a tensor on a GPU with NCCL, or over the host."""
        if self._gpu_group is not None:
            self._dist.all_reduce(tensor, group=self._gpu_group)
        else:
            total = tensor.cpu()
            self._dist.all_reduce(total)
            tensor.copy_(total)

    def largest(self, value: float) -> float:
        """Return the largest value of all processes."""
        import torch

        found = torch.tensor([value], dtype=torch.float64)
        with self._detecting_losses():
            self._dist.all_reduce(found, op=self._dist.ReduceOp.MAX)
        return float(found)

    def exchange(self, sent: Messages, received: Messages) -> None:
        """Send arrays or tensors to other processes, and receive others in place."""
        outgoing, targets = ([(rank, _real(array)) for rank, array in messages] for messages in (sent, received))
        direct = self._gpu_group is not None  # otherwise tensors on GPUs go over the host
        sending, receiving = (
            [(rank, each if direct else each.cpu()) for rank, each in messages] for messages in (outgoing, targets)
        )
        on_host = all(each.is_cpu for _, each in (*sending, *receiving))
        group = self._gpu_group if direct and not on_host else None
        operations = [(self._dist.isend, sending), (self._dist.irecv, receiving)]
        batch = [
            self._dist.P2POp(operation, each, rank, group)
            for operation, messages in operations
            for rank, each in messages
        ]
        with self._detecting_losses():
            for work in self._dist.batch_isend_irecv(batch) if batch else ():
                work.wait()
        for (_, target), (_, each) in zip(targets, receiving, strict=True):
            if each is not target:
                target.copy_(each)

    def first(self, make: Callable[[], Any]) -> Any:
        """Return what the first process makes; the others wait for it. After a loss, every process makes its own."""
        if self.lost:
            return make()
        made = [make() if self.rank == 0 else None]
        with self._detecting_losses():
            self._dist.broadcast_object_list(made)
        return made[0]

    def collect(self, value: Any) -> list[Any] | None:
        """Return the values of all processes in the first process, by rank; None in the others."""
        values: list[Any] | None = [None] * self.size if self.rank == 0 else None
        with self._detecting_losses():
            self._dist.gather_object(value, values)
        return values

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        with self._detecting_losses():
            return any(self._gather(flag))

    def require_equal(self, what: str, value: Any) -> None:
        """Raise an InputError unless the value is equal in all processes."""
        with self._detecting_losses():
            values = self._gather(value)
        if any(each != values[0] for each in values):
            remedy = "Start all of them with one command, with the same version of Exitwave and the same files"
            found = f"differences between {self.size} processes"
            raise InputError(f"The processes do not have the same {what}", found=found, remedy=remedy)

    def _gather(self, value: Any) -> list[Any]:
        """Return the values of all processes, by rank."""
        values = [None] * self.size
        self._dist.all_gather_object(values, value)
        return values

    @contextmanager
    def _detecting_losses(self) -> Iterator[None]:
        """Raise a LostProcessError in place of PyTorch's error if another process has failed or died."""
        try:
            yield
        except RuntimeError as error:
            self.lost = True
            failure = self._read("failure")
            remedy = "See its messages; the system may have killed it, for instance for lack of memory"
            what = failure or "Another process of this run has died or does not respond"
            raise LostProcessError(what, found="" if failure else _short(error), remedy=remedy) from None

    def report_failure(self, message: str) -> None:
        """Store the reason why this process fails, for the error messages of the others."""
        with suppress(RuntimeError):
            self._store.set("failure", f"Process {self.rank + 1} of {self.size} has failed: {message}")
            if self.rank == 0:
                self._store.set("shown", "yes")

    def shows_failure(self) -> bool:
        """Return whether this process shows its failure to the user: not if the first process has failed too."""
        if self.rank == 0:
            return True
        try:
            self._store.wait(["shown"], timedelta(seconds=2))
        except RuntimeError:
            return self._read("failure") != ""
        return False

    def _read(self, key: str) -> str:
        """Return a value of the store, or an empty string."""
        try:
            return self._store.get(key).decode() if self._store.check([key]) else ""
        except RuntimeError:
            return ""

    def saves(self) -> bool:
        """Return whether this process saves the result after a process was lost: the first one that calls this."""
        try:
            return bool(self._store.add("savers", 1) == 1)
        except RuntimeError:  # the first process was lost, which had the store
            return self.rank == 1

    def close(self) -> None:
        """Leave the process group."""
        if not self.lost:
            self._dist.destroy_process_group()


def _short(error: RuntimeError) -> str:
    """Return PyTorch's error message without its source location and its advice."""
    return re.sub(r"^\[[^]]*\] |\. This .*$", "", str(error).partition("\n")[0])


def _real(array: Any) -> Any:
    """Return an array as a tensor of real numbers in the same memory."""
    import torch

    tensor = torch.from_numpy(array) if isinstance(array, np.ndarray) else array
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor
