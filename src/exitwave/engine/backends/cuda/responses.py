"""The responses of every frame in a pass; see `backend.RESPONSES`."""

import torch
from torch import Tensor

from exitwave.engine.backends.cuda import windows
from exitwave.engine.backends.cuda.group_model import FrameGroup, LoadedState


def inner(a: Tensor, b: Tensor, exposures_per_frame: int = 1) -> Tensor:
    """Return Re sum conj(a) b of waves, shape (exposures, modes, ny, nx), for every frame, shape (frames,)."""
    product = torch.view_as_real(a.resolve_conj()) * torch.view_as_real(b.resolve_conj())
    return product.reshape(len(a) // exposures_per_frame, -1).sum(1)


def object_responses(
    gradients: tuple[Tensor, ...], psi: Tensor, chi: Tensor, exposures_per_frame: int = 1
) -> list[Tensor]:
    """Return the responses <Y, Y>, <X, X>, <Y, X>, <Y, chi>, <X, chi>, <psi, psi> and <psi, chi> of a group.

    ``gradients`` are Y and X; if they are empty, the responses with Y and X are 0.
    """
    power_and_gain = [inner(a, b, exposures_per_frame) for a, b in ((psi, psi), (psi, chi))]
    if not gradients:
        return [torch.zeros_like(power_and_gain[0])] * 5 + power_and_gain
    y, x = gradients
    pairs = [(y, y), (x, x), (y, x), (y, chi), (x, chi)]
    return [inner(a, b, exposures_per_frame) for a, b in pairs] + power_and_gain


def parameter_responses(
    loaded: LoadedState, group: FrameGroup, obj: Tensor, psi: Tensor, chi: Tensor, exposures_per_frame: int
) -> list[Tensor]:
    """Return the responses of the OPR modes and of the pointing of a group.

    ``obj`` is the thin object or the first slice; ``psi`` and ``chi`` have the shape (exposures, modes, ny, nx).
    """
    frame_probes, found = loaded.frame_probes, []
    if frame_probes.opr_modes is not None:
        for each in frame_probes.opr_modes:
            mode = frame_probes.to_frame(each[None, None], group.exposures)
            wave = windows.multiply(mode, obj, frame_probes, group.exposures)
            found.append(inner(wave, chi[:, :1], exposures_per_frame))
    if frame_probes.pointing is not None:
        y, x = frame_probes.axes()
        found += [inner(2j * torch.pi * axis * psi, chi, exposures_per_frame) for axis in (y[:, None], x)]
    return found
