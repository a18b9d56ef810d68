"""The passes of a thick sample beside `Backend.gather`, for the multislice classes of all backends."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import Backend, Misfit, Step, Sums
from exitwave.engine.model.slices import refuse_with_slices
from exitwave.engine.state import State


class GatherOnly:
    """Base class of a backend for thick samples: `sequential` by `gather`, and the other passes refused."""

    def sequential(
        self: Backend, state: State, frames: NDArray[np.int64], object: Step | None, probe: Step | None
    ) -> Misfit:
        """Update object and probe after every frame, with a pass over each frame; see `Backend.sequential`."""
        difference = signal = 0.0
        for j in frames:
            sums = self.gather(state, np.array([j]), object=object is not None, probe=probe is not None)
            if object:
                self.descend(state.object, sums.object, sums.probe_density, object)
            if probe:
                self.descend(state.probe, sums.probe, sums.object_density, probe)
            difference, signal = difference + sums.misfit.difference, signal + sums.misfit.signal
        return Misfit(difference, signal)

    def cross_term(self, *arguments: Any) -> float:
        """Refuse: the exit wave is not linear in the object."""
        raise refuse_with_slices("products of changes")

    def line_derivatives(self, *arguments: Any) -> NDArray[np.float64]:
        """Refuse: the exit wave is not quadratic along a line."""
        raise refuse_with_slices("derivatives along a line")

    def position_derivatives(self, *arguments: Any) -> NDArray[np.float64]:
        """Refuse: the positions of a thick sample are refined after an iteration."""
        raise refuse_with_slices("position derivatives in a pass")

    def project(self, *arguments: Any, **requested: Any) -> Sums:
        """Refuse: there is no closed form of the projection on the overlap."""
        raise refuse_with_slices("projections of exit waves")
