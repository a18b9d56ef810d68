"""The definition of passes over frames of several exposures; see `engine.model.fly_scan`.

Exposure e of frame j is a frame of its own, number j * count + e, in the state that `Exposures.spread` returns.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import Line, Misfit, Noise, Sums
from exitwave.engine.backends.reference.frame_model import FrameModel, Waves
from exitwave.engine.model.fly_scan import Exposures
from exitwave.engine.state import State


def gather(
    model: FrameModel,
    exposures: Exposures,
    state: State,
    frames: NDArray[np.int64],
    *,
    object: bool,
    probe: bool,
    noise: Noise,
    responses: NDArray[np.float64] | None,
) -> Sums:
    """Sum the corrections of frames that are incoherent sums of exposures; see `Backend.gather`."""
    spread, sums = exposures.spread(state, model.problem.pixels), model.empty_sums(state)
    difference = signal = loss = 0.0
    for i, j in enumerate(frames):
        numbers = range(j * exposures.count, (j + 1) * exposures.count)
        modelled = [(v, *model.model_frame(spread, v)) for v in numbers]
        all_waves = np.concatenate([far for *_, far in modelled])
        factor, misfit, frame_loss = model.compare(state, j, all_waves, noise)
        difference, signal = difference + misfit.difference, signal + misfit.signal
        loss += frame_loss
        of_exposures = []
        for v, window, frame_probe, far in modelled:
            chi = model.propagate_back(spread, v, factor * far)
            model.add_correction(
                sums, spread, v, frame_probe, chi, to_object=object, to_probe=probe, share=1 / exposures.count
            )
            if responses is not None:
                of_exposures.append(model.responses(spread, v, window, frame_probe, chi))
        if responses is not None:
            responses[i] = misfit.difference, *np.sum(of_exposures, axis=0)
    return replace(sums, misfit=Misfit(difference, signal), loss=loss)


def waves_along(
    model: FrameModel, exposures: Exposures, state: State, line: Line, j: int
) -> tuple[Waves, Waves, Waves]:
    """Return A, B and C of the waves of all exposures of frame j along a line; see `FrameModel.waves_along`."""
    spread = exposures.spread(state, model.problem.pixels)
    moves = None if line.moves is None else np.repeat(line.moves, exposures.count, axis=0)
    numbers = range(j * exposures.count, (j + 1) * exposures.count)
    waves = [model.waves_along(spread, line._replace(moves=moves), v) for v in numbers]
    start, first, second = (np.concatenate(each) for each in zip(*waves, strict=True))
    return start, first, second
