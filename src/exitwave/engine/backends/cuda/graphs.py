"""What a GPU does again and again is recorded once as a CUDA graph, and played back.

A batch of small frames takes the card less time than it takes Python to launch its kernels. A recording has the
addresses of everything in it; so it is known by the addresses of what it reads and changes, and what is another each
time is copied to where it reads. The first time it is played back beside the plain calls: where it cannot be made, or
does something else, there are no more recordings, and the plain calls go on.
"""

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

OFTEN = 16
"""Times that something is done before it is recorded."""
MOST = 64
"""Recordings that are kept, and things that are counted, before all of them are forgotten."""
CLOSE = 1e-5
"""What a recording may differ by, relative to the norm of the plain result."""
Tensors = tuple[Tensor, ...]


class Recorder:
    """Does things, and plays back those that come often.

    Parameters
    ----------
    device : torch.device
        Where.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._pool = device, None
        self.works = device.type == "cuda"
        """Whether there can be recordings."""
        self._times: dict[Hashable, int] = {}
        self._known: dict[Hashable, tuple[Tensors, Tensors, Callable[[], None]]] = {}

    def forget(self) -> None:
        """Forget all recordings: something that they read has another address."""
        self._times, self._known = {}, {}

    def run(self, key: Hashable, act: Callable[..., Tensors], *given: Tensor, changes: bool = False) -> Tensors:
        """Return what an action makes of what is given, in tensors that its next time overwrites.

        ``key`` has all that the action depends on beside that. Where it ``changes`` something it is done once only,
        and so not compared.
        """
        if not self.works:
            return act(*given)
        if key not in self._known:
            times = self._times.pop(key, 0) + 1
            self._times = {key: times} if len(self._times) >= MOST else self._times | {key: times}
            return act(*given) if times < OFTEN else self._record(key, act, given, changes)
        inputs, results, play = self._known[key]
        for target, source in zip(inputs, given, strict=True):
            target.copy_(source)
        play()
        return results

    def _record(self, key: Hashable, act: Callable[..., Tensors], given: Tensors, changes: bool) -> Tensors:
        """Record an action, and return what it makes."""
        expected = () if changes else act(*given)
        inputs = tuple(each.clone() for each in given)
        try:
            results, play = self._capture(lambda: act(*inputs))
            play()
        except RuntimeError:  # out of memory, or something in it cannot be recorded
            self._give_up()
            return act(*given) if changes else expected
        if not all(_close(found, each) for found, each in zip(results, expected, strict=True)):
            self._give_up()
            return expected
        self._known = {} if len(self._known) >= MOST else self._known
        self._known[key] = inputs, results, play
        return results

    def _give_up(self) -> None:
        """Record nothing any more."""
        self.works = False
        self.forget()

    def _capture(self, act: Callable[[], Tensors]) -> tuple[Tensors, Callable[[], None]]:
        """Return where the results will be, and what makes them there."""
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        graph: Any = torch.cuda.CUDAGraph()
        torch.cuda.synchronize(self._device)
        with (
            torch.cuda.device(self._device),
            torch.cuda.graph(
                graph,
                pool=self._pool,
                capture_error_mode="thread_local",  # other threads may have a team's sums to wait for
            ),
        ):
            results = act()
        return results, graph.replay


def _close(found: Tensor, expected: Tensor) -> bool:
    """Say whether a result is what was expected; rounding is the same, but for libraries that choose other ways."""
    apart, size = (torch.linalg.vector_norm(each).item() for each in (found - expected, expected))
    return bool(apart <= CLOSE * size)
