"""Several processes that do one reconstruction: what they say to each other, through torch.distributed.

PyTorch is imported only where there is more than one process. Sums of arrays on the host go through gloo, and so does
whatever must be known of all before cards add up: a process that has died is found there at once, for its connections
are closed. Sums of tensors on cards go through NCCL where every process has a card of its own, else over the host.
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

JOINING = timedelta(minutes=5)
"""How long the first process waits for the others."""
PATIENCE = timedelta(minutes=30)
"""How long a process may let the others wait: it may have files to read or loops to compile."""
CARDS = timedelta(seconds=25)
"""The same for cards that add up, once all processes are there."""
Parcels = list[tuple[int, Any]]
"""Arrays or tensors with the process that they go to, or come from; those of one process in one order."""


def _cores() -> list[int]:
    """Return the cores that this process may use, where the system tells."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _short(error: RuntimeError) -> str:
    """Return what PyTorch says, without where in its own code and what it advises."""
    return re.sub(r"^\[[^]]*\] |\. This .*$", "", str(error).partition("\n")[0])


def _real(array: Any) -> Any:
    """Return an array as a tensor of real numbers in the same memory."""
    import torch

    tensor = torch.from_numpy(array) if isinstance(array, np.ndarray) else array
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


class LostProcessError(RunError):
    """Another process of the run has failed or died."""


class Communicator:
    """A team of one process, which has nobody to ask."""

    rank, size = 0, 1
    lost = False
    """Whether another process is no longer there."""

    def device(self, name: str) -> str:
        """Return the device of a name; see `device.resolve`."""
        return devices.resolve(name)

    def threads(self, wanted: int | None) -> int | None:
        """Return the threads of this process."""
        return wanted

    def add(self, *arrays: Any) -> None:
        """Add up arrays or tensors over all processes, in place."""

    def largest(self, value: float) -> float:
        """Return the largest value of all processes."""
        return value

    def exchange(self, sent: Parcels, received: Parcels) -> None:
        """Send arrays or tensors to other processes, and receive others from them in place; each with whom."""

    def first(self, make: Callable[[], Any]) -> Any:
        """Return what the first process makes; the others wait for it."""
        return make()

    def any(self, flag: bool) -> bool:
        """Say whether any process says so."""
        return flag

    def agree(self, what: str, value: Any) -> None:
        """Refuse to go on where the processes do not have the same."""

    def saves(self) -> bool:
        """Say whether this process saves the result after another was lost: one of those that are left does."""
        return True


ONE_PROCESS = Communicator()


class TorchCommunicator(Communicator):
    """Several processes.

    Parameters
    ----------
    place : Place
        The place of this one.

    Raises
    ------
    InputError
        If PyTorch is not installed.
    RunError
        If the others are not found.
    """

    def __init__(self, place: LaunchInfo) -> None:
        if not util.find_spec("torch"):
            remedy = "Install it with pip install 'exitwave[cuda]', or start one process"
            found = f"{place.size} processes"
            raise InputError("Several processes need PyTorch, which is not installed", found=found, remedy=remedy)
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # a lost connection is no reason for a page of frames
        import torch.distributed as dist

        self.rank, self.size, self._dist, self._cards = place.rank, place.size, dist, None
        hosted = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"  # torchrun has one
        try:
            self._store = dist.TCPStore(
                place.address, place.port, None if hosted else place.size, place.rank == 0 and not hosted, JOINING
            )
            store = dist.PrefixStore("exitwave", self._store)
            dist.init_process_group("gloo", store=store, rank=place.rank, world_size=place.size, timeout=PATIENCE)
        except RuntimeError as error:
            raise RunError(
                "The processes do not find each other",
                where=f"{place.address}:{place.port}",
                found=_short(error),
                remedy="Set MASTER_ADDR and MASTER_PORT alike for all, and GLOO_SOCKET_IFNAME to the network to use",
            ) from None
        with self._together():
            self._here = self._all((socket.gethostname(), _cores()))

    def device(self, name: str) -> str:
        """Return the device of this process; processes of one node take its cards in turn. All must ask."""
        found = devices.resolve(name)
        if name in ("auto", "cuda") and found != "cpu":
            import torch

            found = f"cuda:{self._number(0) % torch.cuda.device_count()}"
        self._meet_on_cards(found)
        return found

    def _meet_on_cards(self, device: str) -> None:
        """Prepare sums over cards, where every process has its own."""
        import torch

        card = ""
        if device.startswith("cuda"):
            card = str(torch.cuda.get_device_properties(device).uuid)
            torch.cuda.set_device(device)
        with self._together():
            cards = self._all(card)
            if all(cards) and len(set(cards)) == self.size and self._dist.is_nccl_available():
                os.environ["TORCH_NCCL_BLOCKING_WAIT"] = "1"  # so that a failure is an exception
                self._cards = self._dist.new_group(backend="nccl", timeout=CARDS)
                self._dist.all_reduce(torch.zeros(1, device=device), group=self._cards)  # all must meet first

    def threads(self, wanted: int | None) -> int | None:
        """Return the threads of this process; where nobody says, those that share cores share them evenly."""
        from exitwave.engine.backends.cpu.threads import default_threads

        alike = sum(each == self._here[self.rank] for each in self._here)
        return wanted or max(1, default_threads() // alike)

    def _number(self, part: int) -> int:
        """Return how many processes before this one have the same host."""
        return sum(each[part] == self._here[self.rank][part] for each in self._here[: self.rank])

    def add(self, *arrays: Any) -> None:
        """Add up arrays or tensors over all processes, in place; all get the same bits.

        Those of the host go at the same time, and before those of cards: then all processes are there.
        """
        tensors = [_real(array) for array in arrays]
        with self._together():
            for sent in [self._dist.all_reduce(each, async_op=True) for each in tensors if each.is_cpu]:
                sent.wait()
            for each in tensors:
                if not each.is_cpu:
                    self._add_on_cards(each)

    def _add_on_cards(self, tensor: Any) -> None:
        if self._cards is not None:
            self._dist.all_reduce(tensor, group=self._cards)
        else:
            total = tensor.cpu()
            self._dist.all_reduce(total)
            tensor.copy_(total)

    def largest(self, value: float) -> float:
        """Return the largest value of all processes."""
        import torch

        found = torch.tensor([value], dtype=torch.float64)
        with self._together():
            self._dist.all_reduce(found, op=self._dist.ReduceOp.MAX)
        return float(found)

    def exchange(self, sent: Parcels, received: Parcels) -> None:
        """Send arrays or tensors to other processes, and receive others from them in place; each with whom."""
        out, back = ([(rank, _real(array)) for rank, array in parcels] for parcels in (sent, received))
        direct = self._cards is not None  # else what is on cards goes over the host
        away, home = ([(rank, each if direct else each.cpu()) for rank, each in parcels] for parcels in (out, back))
        group = self._cards if direct and not all(each.is_cpu for _, each in (*away, *home)) else None
        ways = [(self._dist.isend, away), (self._dist.irecv, home)]
        steps = [self._dist.P2POp(way, each, rank, group) for way, parcels in ways for rank, each in parcels]
        with self._together():
            for work in self._dist.batch_isend_irecv(steps) if steps else ():
                work.wait()
        for (_, target), (_, each) in zip(back, home, strict=True):
            if each is not target:
                target.copy_(each)

    def first(self, make: Callable[[], Any]) -> Any:
        """Return what the first process makes; the others wait for it. After a loss each that is left makes its own."""
        if self.lost:
            return make()
        made = [make() if self.rank == 0 else None]
        with self._together():
            self._dist.broadcast_object_list(made)
        return made[0]

    def any(self, flag: bool) -> bool:
        """Say whether any process says so."""
        with self._together():
            return any(self._all(flag))

    def agree(self, what: str, value: Any) -> None:
        """Refuse to go on where the processes do not have the same."""
        with self._together():
            values = self._all(value)
        if any(each != values[0] for each in values):
            remedy = "Start them all with one command, of one version, on the same files"
            raise InputError(f"The processes do not agree about {what}", found=f"{self.size} processes", remedy=remedy)

    def _all(self, value: Any) -> list[Any]:
        """Return what all processes have."""
        values = [None] * self.size
        self._dist.all_gather_object(values, value)
        return values

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Turn what PyTorch raises where another process has gone into what it means."""
        try:
            yield
        except RuntimeError as error:
            self.lost = True
            failure = self._asked("failure")
            remedy = "Look at what it says, or whether it was killed or ran out of memory"
            what = failure or "Another process of this run has died or does not answer"
            raise LostProcessError(what, found="" if failure else _short(error), remedy=remedy) from None

    def fail(self, message: str) -> None:
        """Tell the others why this process ends."""
        with suppress(RuntimeError):
            self._store.set("failure", f"Process {self.rank + 1} of {self.size} has failed: {message}")
            if self.rank == 0:
                self._store.set("said", "yes")

    def speaks(self) -> bool:
        """Say whether it is for this process to say why it fails: the first one does where it fails too."""
        if self.rank == 0:
            return True
        try:
            self._store.wait(["said"], timedelta(seconds=2))
        except RuntimeError:
            return self._asked("failure") != ""
        return False

    def _asked(self, key: str) -> str:
        """Return what the store has under a key, or nothing."""
        try:
            return self._store.get(key).decode() if self._store.check([key]) else ""
        except RuntimeError:
            return ""

    def saves(self) -> bool:
        """Say whether this process saves the result after another was lost; the store counts who asks."""
        try:
            return bool(self._store.add("savers", 1) == 1)
        except RuntimeError:  # the first process had the store
            return self.rank == 1

    def leave(self) -> None:
        """Part from the others."""
        if not self.lost:
            self._dist.destroy_process_group()
