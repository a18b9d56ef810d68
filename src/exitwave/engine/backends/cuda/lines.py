"""What frames tell when object, probe and positions change along a line, or a little."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.backend import READOUT, Line, Noise
from exitwave.engine.backends.cuda.detector import power
from exitwave.engine.backends.cuda.probes import tensor
from exitwave.engine.backends.cuda.windows import cut
from exitwave.engine.model.near_field import refuse_moves
from exitwave.engine.state import State

if TYPE_CHECKING:
    from exitwave.engine.backends.cuda.passes import TorchBackend

CUTS = 64
"""Windows that are cut at the same time."""


def inner(a: Tensor, b: Tensor, exposures: int = 1) -> Tensor:
    """Return Re sum conj(a) b of waves (views, modes, ny, nx) for every frame, which has so many views."""
    product = torch.view_as_real(a.resolve_conj()) * torch.view_as_real(b.resolve_conj())
    return product.reshape(len(a) // exposures, -1).sum(1)


def mixed(a: Tensor, b: Tensor) -> Tensor:
    """Return Re sum_k conj(a_k) b_k over the modes, shape (views, ny, nx)."""
    return (torch.view_as_real(a) * torch.view_as_real(b)).sum((1, -1))


def responses(gradients: tuple[Tensor, ...], psi: Tensor, chi: Tensor, exposures: int = 1) -> list[Tensor]:
    """Return what frames tell, without the difference, and without slopes 0 in their place; see `backend.RESPONSES`."""
    own = [inner(a, b, exposures) for a, b in ((psi, psi), (psi, chi))]
    if not gradients:
        return [torch.zeros_like(own[0])] * 5 + own
    y, x = gradients
    pairs = [(y, y), (x, x), (y, x), (y, chi), (x, chi)]
    return [inner(a, b, exposures) for a, b in pairs] + own


def along(
    backend: "TorchBackend",
    state: State,
    line: Line,
    frames: NDArray[np.int64],
    lengths: NDArray[np.float64],
    noise: Noise,
) -> NDArray[np.float64]:
    """Return the loss's derivatives along a line; see `Backend.along`. The intensity is a quartic in the length."""
    here = backend.load(state)
    change, direction = backend.take(line.object), torch.fft.fft2(backend.take(line.probe))
    steps = None if line.moves is None else tensor(line.moves, backend.device)
    out = torch.zeros((len(lengths), 2), dtype=torch.float64, device=backend.device)
    for part in backend.parts(here.beams, frames):
        window, (beam, psi) = backend.window(here, part), backend.enter(here, part)
        aside = here.beams.shifted(direction[None], part.views)
        if steps is not None:
            for axis, each in enumerate(here.beams.changes(here.spectrum, part.views)):
                aside = aside + steps[part.views // backend.exposures][:, axis, None, None, None] * each
        other = cut(change, here.beams.corners[part.views], backend.problem.shape)[:, None]
        waves = psi, beam * other + aside * window[:, None], aside * other
        far = (backend.way.forth(each, here.beams, part.views) for each in waves)
        a, b, c = (each.reshape(len(part.measured), -1, *backend.problem.shape) for each in far)
        quartic = [power(a), 2 * mixed(a, b), power(b) + 2 * mixed(a, c), 2 * mixed(b, c), power(c)]
        for i, t in enumerate(lengths.tolist()):
            d0 = sum(q * t**n for n, q in enumerate(quartic))
            d1 = sum(n * q * t ** (n - 1) for n, q in enumerate(quartic) if n)
            d2 = sum(n * (n - 1) * q * t ** (n - 2) for n, q in enumerate(quartic) if n > 1)
            model = here.detector.counts(d0.clamp(min=0))
            d1, d2 = here.detector.linear(d1), here.detector.linear(d2)
            force, curve = here.detector.derivatives(part.measured, model, noise)
            terms = -force * d1, curve * d1.square() - force * d2
            out[i] += torch.stack([each.sum(dtype=torch.float64) for each in terms])
    return out.cpu().numpy()


def moves(backend: "TorchBackend", state: State, frames: NDArray[np.int64], noise: Noise) -> NDArray[np.float64]:
    """Return what the frames tell of their positions; see `Backend.moves`."""
    refuse_moves(backend.problem.propagator)
    here, rows = backend.load(state), [np.zeros((0, 5))]
    spare = READOUT if noise == "Poisson" else backend.problem.floor**2
    for part in backend.parts(here.beams, frames):
        window, (_, psi) = backend.window(here, part), backend.enter(here, part)
        changed = [each * window[:, None] for each in here.beams.changes(here.spectrum, part.views)]
        far, *ways = (backend.way.forth(each, here.beams, part.views) for each in (psi, *changed))
        y, x = (here.detector.linear(2 * mixed(far, each)) for each in ways)
        model = here.detector.counts(power(far))
        force, _ = here.detector.derivatives(part.measured, model, noise)
        weight = here.detector.asked(part.measured, model) / (4 * (model + spare))
        terms = force * y / 2, force * x / 2, weight * y * y, weight * x * x, weight * y * x
        rows.append(torch.stack([each.sum((1, 2)) for each in terms], 1).cpu().numpy())
    return np.concatenate(rows, dtype=np.float64)


def cross_term(backend: "TorchBackend", state: State, frames: NDArray[np.int64], object: Any, probe: Any) -> float:
    """Return how much of the exit waves two changes change alike; see `Backend.crossing`."""
    here = backend.load(state)
    both = backend.take(object).conj() * here.obj
    wanted = (here.probe.conj() * backend.take(probe)).sum(0)
    corners = here.beams.corners[backend.take(frames)]
    found = [(cut(both, each, backend.problem.shape).sum(0) * wanted).sum().real for each in corners.split(CUTS)]
    return float(sum(found))
