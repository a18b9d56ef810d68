"""The sweeps on tensors for a thick sample; see `sweeps` for the equations."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.backend import Noise
from exitwave.engine.backends.cuda import lines, windows
from exitwave.engine.backends.cuda.passes import Loaded, Part, TorchBackend
from exitwave.engine.backends.cuda.sums import Totals
from exitwave.engine.backends.reference.multislice import GatherOnly
from exitwave.engine.model.slices import refuse_with_slices
from exitwave.engine.state import State


class MultisliceTorchBackend(GatherOnly, TorchBackend):
    """The sweeps through several slices; see `TorchBackend` for the parameters."""

    _spacing = 0.0
    _transfer: Tensor
    _steeper: Tensor

    def load(self, state: State) -> Loaded:
        """Return object and probe on the device, after making the way between slices the state's."""
        if state.pointing is not None:
            raise refuse_with_slices("tilts of the beam")
        assert self.problem.slices is not None
        spacing = 1.0 if state.slice_spacing is None else float(state.slice_spacing)
        if spacing != self._spacing:
            transfer = self.problem.slices.transfer(spacing)
            steeper = 1j * self.problem.slices.phase * transfer
            self._transfer, self._steeper = (self.take(each).to(torch.complex64) for each in (transfer, steeper))
            self._spacing = spacing
        return super().load(state)

    def carry(
        self,
        here: Loaded,
        part: Part,
        totals: Totals,
        *,
        object: bool,
        probe: bool,
        noise: Noise,
        responses: NDArray[Any] | None,
        gradients: bool = True,
    ) -> None:
        """Carry some frames through the slices, and add up what they ask for."""
        window, entering = self.window(here, part), [here.beams.of(here.spectrum, part.views)]
        for each in window[:-1]:
            entering.append(_through(entering[-1] * each[:, None], self._transfer))
        psi, wanted = entering[-1] * window[-1][:, None], object or probe or responses is not None
        change, judged = self.change(here, part, psi, noise, wanted=wanted)
        totals.compare(judged)
        changes = [change]
        for each in window.flip(0)[:-1] if wanted else ():
            changes.insert(0, _through(each.conj()[:, None] * changes[0], self._transfer.conj()))
        if object:
            for number, (wave, each) in enumerate(zip(entering, changes, strict=True)):
                totals.add_object(wave, each, part.views, part.places, layer=number)
        if responses is not None:
            told = [judged.difference, *self._tell(here, part, window, entering, change, totals)]
            told += self._own_responses(here, part, here.obj[0], psi, changes[0])
            responses[:] = torch.stack(told, 1).cpu().numpy()
        if probe:
            totals.add_probe(here.obj[0], changes[0], part.views)

    def _tell(
        self, here: Loaded, part: Part, window: Tensor, entering: list[Tensor], change: Tensor, totals: Totals
    ) -> list[Tensor]:
        """Return what frames tell of positions and power, and add what they tell of the spacing."""
        corners, shape = here.beams.corners[part.views], self.problem.shape
        gradients = windows.gradients(here.obj, corners, shape)
        y, x = (slope[0][:, None] * entering[0] for slope in gradients)
        z = torch.zeros_like(y)
        for number in range(1, len(window)):
            push = _through(window[number - 1][:, None] * entering[number - 1], self._steeper)
            own = window[number][:, None]
            y, x = (
                own * _through(wave, self._transfer) + slope[number][:, None] * entering[number]
                for wave, slope in zip((y, x), gradients, strict=True)
            )
            z = own * (_through(z, self._transfer) + push)
        totals.slice_spacing = totals.slice_spacing + lines.inner(z, change).sum(dtype=torch.float64)
        return lines.responses((y, x), window[-1][:, None] * entering[-1], change)


def _through(waves: Tensor, transfer: Tensor) -> Tensor:
    """Return waves behind a filter in Fourier space."""
    return torch.fft.ifft2(torch.fft.fft2(waves) * transfer)
