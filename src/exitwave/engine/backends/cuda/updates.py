"""The passes that change the state or the stored exit waves."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.backend import Misfit, ProjectionWeights, Step, Sums
from exitwave.engine.backends.cuda.descent import descend
from exitwave.engine.backends.cuda.detector import intensity
from exitwave.engine.backends.cuda.group_model import FrameGroup, GroupModel, LoadedState
from exitwave.engine.backends.cuda.sums import PassSums
from exitwave.engine.state import State


def sequential(
    model: GroupModel, state: State, frames: NDArray[np.int64], object: Step | None, probe: Step | None
) -> Misfit:
    """Update the state in place after every frame; see `Backend.sequential`."""
    loaded = model.load(state)
    sums = PassSums(loaded.obj, loaded.probe, loaded.frame_probes, 1)
    spectrum, (ny, nx) = loaded.spectrum.clone(), model.problem.shape
    loaded = loaded._replace(spectrum=spectrum)
    for group in model.groups(loaded.frame_probes, frames, group_size=1):
        window, (probes, psi) = model.object_windows(loaded, group), model.exit_waves(loaded, group)
        chi, comparison = model.correct(loaded, group, psi, "amplitude")
        sums.add_comparison(comparison)
        if object:
            top, left = group.host_corners[0].tolist()
            target = loaded.obj[top : top + ny, left : left + nx]
            descend(model.recorder, target, (probes.conj() * chi)[0].sum(0), intensity(probes)[0], object)
        if probe:
            change, density = torch.zeros_like(loaded.probe), torch.view_as_real(window[0]).square().sum(-1)
            descend(model.recorder, change, window[0].conj() * chi[0], density, probe)
            loaded.frame_probes.from_frame(spectrum, change[None], group.exposures)
    if object:
        write(state.object, loaded.obj)
    if probe:
        write(state.probe, torch.fft.ifft2(spectrum))
    return sums.result(model.signal(frames), as_numpy=isinstance(state.object, np.ndarray)).misfit


def project(
    model: GroupModel,
    state: State,
    frames: NDArray[np.int64],
    waves: Any,
    weights: ProjectionWeights | None,
    *,
    object: bool,
    probe: bool,
) -> Sums:
    """Advance the stored exit waves of the frames and sum the differences to the model; see `Backend.project`."""
    loaded = model.load(state)
    sums = PassSums(loaded.obj, loaded.probe, loaded.frame_probes, 1)
    for group in model.groups(loaded.frame_probes, frames):
        (probes, psi), stored = model.exit_waves(loaded, group), model.take(waves[group.rows])
        if weights is not None:
            stored = _advance(model, loaded, group, psi, stored, weights, sums)
            write(waves[group.rows], stored)
        chi = model.propagate_back(loaded, group, stored) - psi
        if object:
            sums.add_object(probes, chi, group.exposures, group.host_corners)
        if probe:
            sums.add_probe(loaded.obj, chi, group.exposures)
    signal = model.signal(frames) if weights else 0.0
    return sums.result(signal, as_numpy=isinstance(state.object, np.ndarray))


def _advance(
    model: GroupModel,
    loaded: LoadedState,
    group: FrameGroup,
    psi: Tensor,
    stored: Tensor,
    weights: ProjectionWeights,
    sums: PassSums,
) -> Tensor:
    """Return the stored waves of a group after one projection step, and add the group's comparison to the sums."""
    a, b, c = weights
    far = model.propagate(loaded, group, psi)
    sums.add_comparison(loaded.detector.correct(far, group.counts, "amplitude", corrections=False)[1])
    mixed = c * far + (1 - c) * stored
    projected = mixed + loaded.detector.correct(mixed, group.counts, "amplitude")[0]
    return (1 - a - b) * stored + a * far + b * projected


def write(target: Any, values: Tensor) -> None:
    """Write values into a tensor, or into a NumPy array."""
    torch.as_tensor(target).copy_(values)
