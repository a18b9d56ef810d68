"""Fly scans: the sample moves while a frame is counted, which is the incoherent sum of exposures along the way.

    I_j = sum_e sum_k |F psi_jek|^2,   psi_jek = P_k O_je / sqrt(E)

with the object O_je seen at the position plus the offset of exposure e, and the same counts in each of E exposures. So
the exposures are further incoherent waves, with windows and shifts of their own: J. N. Clark et al., Phys. Rev. Lett.
112, 113901 (2014); P. M. Pelz et al., Appl. Phys. Lett. 105, 251101 (2014). The position is the middle of the way.

What the sum takes away does not come back without photons: where the object is weak, a frame that moves by L along x
tells of its frequency f with the contrast sin(pi f L) / (pi f L).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from exitwave.engine.settings import Settings
from exitwave.engine.state import State


class FlyScan(Settings):
    """How the sample moves while a frame is counted."""

    exposures: int = Field(8, ge=2, le=64, description="exposures that stand for a frame's way, evenly spaced")
    motion: tuple[float, float] | None = Field(
        None, description="way of the probe over the sample in a frame, (x, y) in metres; None: from frame to frame"
    )
    duty: float = Field(1.0, gt=0, le=1, description="part of the way from frame to frame with the shutter open")


@dataclass(frozen=True, eq=False)
class Exposures:
    """The exposures of every frame."""

    offsets: NDArray[np.float64]
    """Where they are beside the frame's position, in object pixels (row, column), shape (npos, exposures, 2)."""

    @property
    def count(self) -> int:
        """Exposures of a frame."""
        return self.offsets.shape[1]

    def spread(self, state: State, pixels: NDArray[np.floating[Any]]) -> State:
        """Return the state as if every exposure were a frame: number j * count + e; the probe's factor has 1 / sqrt(E).

        ``pixels`` are the positions, shape (npos, 2), of a state that has none.
        """
        places = pixels if state.positions is None else state.positions
        probe_factors = np.ones(len(places)) if state.probe_factors is None else state.probe_factors
        return replace(
            state,
            positions=(places[:, None].astype(np.float64) + self.offsets).reshape(-1, 2),
            probe_factors=np.repeat(probe_factors / np.sqrt(self.count), self.count),
            opr_weights=None if state.opr_weights is None else np.repeat(state.opr_weights, self.count, axis=0),
        )
