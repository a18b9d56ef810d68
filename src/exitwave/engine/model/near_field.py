"""Near field: the detector is so close that it records an image of the sample in Fresnel diffraction.

In the far field the wave at the detector is F psi. In the near field the exit wave has propagated by a distance z,

    A psi = F^-1 [ H F psi ],   H(f) = exp(2 pi i z (sqrt(1 / lambda^2 - f^2) - 1 / lambda))

(J. W. Goodman, Introduction to Fourier Optics, 3rd ed., eq. 3-66). In the cone beam of a source at the distance z1
before the sample, z is z1 z2 / (z1 + z2), on pixels demagnified by z1 / (z1 + z2); see `Scan.propagation_distance`.

The image shows where the exit wave is. The sample moves, while probe and detector do not; but the engine's exit wave is
the probe shifted by the sub-pixel rest s of the position, times a window of the object at whole pixels. Therefore the
wave is shifted back in the propagation, with the factor exp(2 pi i f s) besides H. Its derivative with respect to the
position is then A of the product of the shifted probe and the derivative of the object, shifted back, as in
`backend.RESPONSES`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError


@dataclass(frozen=True, eq=False)
class Propagator:
    """Propagation from the sample to a detector in the near field."""

    transfer: NDArray[np.complex128]
    """H, of modulus 1, shape (ny, nx), zero frequency at [0, 0]."""

    def forth(self, waves: NDArray[np.complexfloating], rest: NDArray[np.floating]) -> NDArray[np.complex128]:
        """Return exit waves at the detector, shape (..., ny, nx), of a frame whose probe is shifted by ``rest``."""
        return self._filter(waves, self.transfer * self._shift_back(rest))

    def back(self, waves: NDArray[np.complexfloating], rest: NDArray[np.floating]) -> NDArray[np.complex128]:
        """Return the inverse and adjoint of `forth`."""
        return self._filter(waves, (self.transfer * self._shift_back(rest)).conj())

    def _filter(self, waves: NDArray[np.complexfloating], factor: NDArray[np.complex128]) -> NDArray[np.complex128]:
        return np.asarray(np.fft.ifft2(np.fft.fft2(waves) * factor))

    def _shift_back(self, rest: NDArray[np.floating]) -> NDArray[np.complex128]:
        """Return exp(2 pi i f s), the factor that shifts back by s pixels (row, column)."""
        fy, fx = (np.fft.fftfreq(n) for n in self.transfer.shape)
        return np.asarray(np.exp(2j * np.pi * (fy[:, None] * float(rest[0]) + fx * float(rest[1]))))


def refuse_moves(propagator: Propagator | None) -> None:
    """Raise InputError for moves of the positions along a line in the near field, where they also move the image."""
    if propagator:
        remedy = "Refine positions with another algorithm, and continue from its result"
        raise InputError("ML does not refine positions in the near field", found="position_update", remedy=remedy)
