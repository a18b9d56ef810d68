"""The passes that change something as they go: object and probe after every frame, or the frames' own exit waves."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.backend import Misfit, ProjectionWeights, Step, Sums
from exitwave.engine.backends.cuda.detector import power
from exitwave.engine.backends.cuda.sums import Totals
from exitwave.engine.state import State

if TYPE_CHECKING:
    from exitwave.engine.backends.cuda.passes import Loaded, Part, TorchBackend


def sequential(
    backend: "TorchBackend", state: State, frames: NDArray[np.int64], object: Step | None, probe: Step | None
) -> Misfit:
    """Update the state in place after every frame; see `Backend.sequential`."""
    here = backend.load(state)
    totals = Totals(here.obj, here.probe, here.beams, 1)
    spectrum, (ny, nx) = here.spectrum.clone(), backend.problem.shape
    here = here._replace(spectrum=spectrum)
    for part in backend.parts(here.beams, frames, size=1):
        window, (beam, psi) = backend.window(here, part), backend.enter(here, part)
        change, judged = backend.change(here, part, psi, "amplitude")
        totals.compare(judged)
        if object:
            top, left = part.places[0].tolist()
            seen = here.obj[top : top + ny, left : left + nx]
            backend.descend(seen, (beam.conj() * change)[0].sum(0), power(beam)[0], object)
        if probe:
            wanted, light = torch.zeros_like(here.probe), torch.view_as_real(window[0]).square().sum(-1)
            backend.descend(wanted, window[0].conj() * change[0], light, probe)
            here.beams.back(spectrum, wanted[None], part.views)
    if object:
        write(state.object, here.obj)
    if probe:
        write(state.probe, torch.fft.ifft2(spectrum))
    return totals.sums(backend.signal(frames), as_numpy=isinstance(state.object, np.ndarray)).misfit


def project(
    backend: "TorchBackend",
    state: State,
    frames: NDArray[np.int64],
    waves: Any,
    weights: ProjectionWeights | None,
    *,
    object: bool,
    probe: bool,
) -> Sums:
    """Advance the frames' own exit waves and add up what the model lacks of them; see `Backend.project`."""
    here = backend.load(state)
    totals = Totals(here.obj, here.probe, here.beams, 1)
    for part in backend.parts(here.beams, frames):
        (beam, psi), own = backend.enter(here, part), backend.take(waves[part.where])
        if weights is not None:
            own = _advance(backend, here, part, psi, own, weights, totals)
            write(waves[part.where], own)
        lack = backend.way.back(own, here.beams, part.views) - psi
        if object:
            totals.add_object(beam, lack, part.views, part.places)
        if probe:
            totals.add_probe(here.obj, lack, part.views)
    signal = backend.signal(frames) if weights else 0.0
    return totals.sums(signal, as_numpy=isinstance(state.object, np.ndarray))


def _advance(
    backend: "TorchBackend",
    here: "Loaded",
    part: "Part",
    psi: Tensor,
    own: Tensor,
    weights: ProjectionWeights,
    totals: Totals,
) -> Tensor:
    """Return the frames' own waves one step on."""
    a, b, c = weights
    explained = backend.way.forth(psi, here.beams, part.views)
    totals.compare(here.detector.correct(explained, part.measured, "amplitude", wanted=False)[1])
    mixed = c * explained + (1 - c) * own
    measured = mixed + here.detector.correct(mixed, part.measured, "amplitude")[0]
    return (1 - a - b) * own + a * explained + b * measured


def write(target: Any, values: Tensor) -> None:
    """Write values into a tensor, or into an array on the host."""
    torch.as_tensor(target).copy_(values)
