"""CUDA graphs: record a sequence of operations that a GPU repeats, and replay it.

For a batch of small frames, Python needs more time to launch the kernels than the GPU needs to run them. A replay
launches all of them at once. A graph contains the memory addresses of everything that it reads and writes. So a key
identifies a graph by the addresses of the arrays that stay, and inputs that change are copied into the graph's own
tensors before each replay. The first replay is compared with the plain operations. If a graph cannot be recorded, or
its result differs, graphs are disabled and the plain operations are used from then on.
"""

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

RUNS_BEFORE_RECORDING = 16
"""Number of runs of an action after which it is recorded."""
MAX_RECORDINGS = 64
"""Number of graphs, and of actions whose runs are counted, above which all of them are discarded."""
TOLERANCE = 1e-5
"""Accepted difference between a replay and the plain result, relative to the norm of the plain result."""
Tensors = tuple[Tensor, ...]


class Recorder:
    """Runs actions, and replays those that are repeated.

    Parameters
    ----------
    device : torch.device
        Device of the actions.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._pool = device, None
        self.enabled = device.type == "cuda"
        """Whether actions are recorded."""
        self._runs: dict[Hashable, int] = {}
        self._graphs: dict[Hashable, tuple[Tensors, Tensors, Callable[[], None]]] = {}

    def clear(self) -> None:
        """Discard all graphs. Must be called when an array that they read has been replaced."""
        self._runs, self._graphs = {}, {}

    def run(self, key: Hashable, action: Callable[..., Tensors], *inputs: Tensor, in_place: bool = False) -> Tensors:
        """Return the result of an action on some inputs. The next run overwrites the returned tensors.

        Parameters
        ----------
        key : Hashable
            Everything that the action depends on beside the inputs, with the addresses of the arrays.
        action : callable
            Operations on the device, without synchronisation with the host.
        *inputs : Tensor
            Arguments of the action.
        in_place : bool
            Whether the action changes arrays in place. It is then run only once in each call, so that the first replay
            is not compared with the plain operations.
        """
        if not self.enabled:
            return action(*inputs)
        if key not in self._graphs:
            runs = self._runs.pop(key, 0) + 1
            self._runs = {key: runs} if len(self._runs) >= MAX_RECORDINGS else self._runs | {key: runs}
            return action(*inputs) if runs < RUNS_BEFORE_RECORDING else self._record(key, action, inputs, in_place)
        graph_inputs, results, replay = self._graphs[key]
        for target, source in zip(graph_inputs, inputs, strict=True):
            target.copy_(source)
        replay()
        return results

    def _record(self, key: Hashable, action: Callable[..., Tensors], inputs: Tensors, in_place: bool) -> Tensors:
        """Record an action and return its result."""
        expected = () if in_place else action(*inputs)
        graph_inputs = tuple(each.clone() for each in inputs)
        try:
            results, replay = self._capture(lambda: action(*graph_inputs))
            replay()
        except RuntimeError:  # out of memory, or an operation that cannot be recorded
            self._disable()
            return action(*inputs) if in_place else expected
        if not all(_close(result, each) for result, each in zip(results, expected, strict=True)):
            self._disable()
            return expected
        self._graphs = {} if len(self._graphs) >= MAX_RECORDINGS else self._graphs
        self._graphs[key] = graph_inputs, results, replay
        return results

    def _disable(self) -> None:
        """Stop recording and discard all graphs."""
        self.enabled = False
        self.clear()

    def _capture(self, action: Callable[[], Tensors]) -> tuple[Tensors, Callable[[], None]]:
        """Return the tensors that will hold the results, and the function that computes them."""
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        graph: Any = torch.cuda.CUDAGraph()
        torch.cuda.synchronize(self._device)
        with (
            torch.cuda.device(self._device),
            torch.cuda.graph(
                graph,
                pool=self._pool,
                capture_error_mode="thread_local",  # other threads may synchronise, for sums over several processes
            ),
        ):
            results = action()
        return results, graph.replay


def _close(result: Tensor, expected: Tensor) -> bool:
    """Return whether a result agrees; libraries may choose other algorithms, whose rounding differs."""
    difference, norm = (torch.linalg.vector_norm(each).item() for each in (result - expected, expected))
    return bool(difference <= TOLERANCE * norm)
