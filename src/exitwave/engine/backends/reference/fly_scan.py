"""The definition of passes over frames of several exposures, for fly scans; see `fly` and `Backend`."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import Line, Misfit, Noise, Sums
from exitwave.engine.model.fly_scan import Exposures
from exitwave.engine.state import State

if TYPE_CHECKING:
    from exitwave.engine.backends.reference.passes import ReferenceBackend


def gather(
    backend: "ReferenceBackend",
    fly: Exposures,
    state: State,
    frames: NDArray[np.int64],
    *,
    object: bool,
    probe: bool,
    noise: Noise,
    responses: NDArray[np.float64] | None,
) -> Sums:
    """Pass over the frames, each the incoherent sum of its exposures."""
    each, sums = fly.spread(state, backend.problem.pixels), backend.empty(state)
    difference = signal = loss = 0.0
    for i, j in enumerate(frames):
        views = [(v, backend.window(each, v), backend.beam(each, v)) for v in range(j * fly.count, (j + 1) * fly.count)]
        far = np.array([backend.forth(each, v, beam * state.object[window]) for v, window, beam in views])
        waves = far.reshape(-1, *backend.problem.shape)
        factor, misfit, frame_loss = backend.judged(state, j, waves, noise)
        difference, signal = difference + misfit.difference, signal + misfit.signal
        loss += frame_loss
        told = []
        for (v, window, beam), wave in zip(views, far, strict=True):
            chi = backend.back(each, v, factor * wave)
            _add(backend, sums, each, v, window, beam, chi, object=object, probe=probe, share=1 / fly.count)
            if responses is not None:
                told.append(backend.responses(each, v, window, beam, chi))
        if responses is not None:
            responses[i] = misfit.difference, *np.sum(told, axis=0)
    return replace(sums, misfit=Misfit(difference, signal), loss=loss)


def along(
    backend: "ReferenceBackend", fly: Exposures, state: State, line: Line, j: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return the waves of all exposures of frame j along a line; see `ReferenceBackend.far_along`."""
    each = fly.spread(state, backend.problem.pixels)
    moves = None if line.moves is None else np.repeat(line.moves, fly.count, axis=0)
    views = [backend.far_along(each, line._replace(moves=moves), v) for v in range(j * fly.count, (j + 1) * fly.count)]
    start, slope, bend = (np.concatenate(waves) for waves in zip(*views, strict=True))
    return start, slope, bend


def _add(
    backend: "ReferenceBackend",
    sums: Sums,
    each: State,
    v: int,
    window: tuple[slice, slice],
    beam: NDArray[Any],
    chi: NDArray[Any],
    *,
    object: bool,
    probe: bool,
    share: float,
) -> None:
    """Add up what one exposure wants of object and probe."""
    if object:
        sums.object[window] += (beam.conj() * chi).sum(0)
        sums.probe_density[window] += (np.abs(beam) ** 2).sum(0)
    if probe:
        backend.add_probe(sums, each, v, each.object[window].conj() * chi)
        sums.object_density[:] += share * np.abs(each.object[window]) ** 2
