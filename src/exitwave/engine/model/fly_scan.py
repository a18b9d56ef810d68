"""Fly scans: the sample moves while a frame is recorded, and the frame is an incoherent sum of exposures on the path.

    I_j = sum_e sum_k |F psi_jek|^2,   psi_jek = P_k O_je / sqrt(E)

with the object O_je in the window at the position plus the offset of exposure e, and the same counts in each of E
exposures. The exposures are further incoherent waves, each with its own window and shift: J. N. Clark et al., Phys.
Rev. Lett. 112, 113901 (2014); P. M. Pelz et al., Appl. Phys. Lett. 105, 251101 (2014). The position of a frame is the
middle of its path.

The sum reduces the contrast: where the object is weak, a frame that moves by L along x records its frequency f with the
contrast sin(pi f L) / (pi f L), and more photons are needed for the same signal-to-noise ratio.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from exitwave.engine.settings import Settings
from exitwave.engine.state import State


class FlyScan(Settings):
    """Settings of a fly scan: the motion of the sample while a frame is recorded."""

    exposures: int = Field(
        8, ge=2, le=64, description="number of exposures that model a frame, evenly spaced on its path"
    )
    motion: tuple[float, float] | None = Field(
        None,
        description="path of the probe over the sample in a frame, (x, y) in metres; None: from frame to frame",
    )
    duty: float = Field(1.0, gt=0, le=1, description="part of the path from frame to frame with the shutter open")


@dataclass(frozen=True, eq=False)
class Exposures:
    """The exposures of every frame."""

    offsets: NDArray[np.float64]
    """Offsets from the frame's position, in object pixels (row, column), shape (npos, exposures, 2)."""

    @property
    def count(self) -> int:
        """Number of exposures of a frame."""
        return self.offsets.shape[1]

    def spread(self, state: State, pixels: NDArray[np.floating[Any]]) -> State:
        """Return the state with every exposure as a frame, number j * count + e, and 1 / sqrt(E) in the probe factors.

        ``pixels``, shape (npos, 2), are the positions for a state without positions.
        """
        positions = pixels if state.positions is None else state.positions
        probe_factors = np.ones(len(positions)) if state.probe_factors is None else state.probe_factors
        return replace(
            state,
            positions=(positions[:, None].astype(np.float64) + self.offsets).reshape(-1, 2),
            probe_factors=np.repeat(probe_factors / np.sqrt(self.count), self.count),
            opr_weights=None if state.opr_weights is None else np.repeat(state.opr_weights, self.count, axis=0),
        )
