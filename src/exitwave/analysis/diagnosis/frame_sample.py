"""Sample of the frames of a scan, and quantities that several diagnoses need."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import percentile_filter

from exitwave.frames import valid_counts
from exitwave.scan import Scan

PIXELS = 2**24
"""Number of detector pixels in the sample, which sets the number of frames."""
FEWEST = 16
"""Smallest number of frames in the sample."""
TRANSFORMED = 64
"""Largest number of frames that are Fourier transformed."""
HOT, HOT_COUNTS = 5.0, 10.0
"""A hot pixel has more than this multiple of its neighbours' counts, plus this multiple of their noise."""
EXTENT = 1e-3
"""Value of the autocorrelation of the exit waves, relative to its centre, at which it ends."""


@dataclass(frozen=True, eq=False)
class FrameSample:
    """Some frames of a scan, evenly spaced among the used ones."""

    scan: Scan
    """The scan."""
    frames: NDArray[np.int64]
    """Indices of the frames, shape (n,)."""
    of: int
    """Number of used frames in the scan."""
    patterns: NDArray[np.float32]
    """Counts of the frames, shape (n, ny, nx); negative and non-finite counts are set to 0."""
    good: NDArray[np.bool_]
    """Pixels that are not masked and are valid in at least half of the frames, shape (ny, nx)."""

    @property
    def whole(self) -> bool:
        """Whether the sample holds all used frames."""
        return len(self.frames) == self.of

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """Mean counts of every pixel, including masked ones, shape (ny, nx)."""
        return self.patterns.mean(axis=0, dtype=np.float64)

    @cached_property
    def hot(self) -> NDArray[np.bool_]:
        """Pixels that are not masked and always far brighter than nearly all of their neighbours, shape (ny, nx)."""
        usual = percentile_filter(np.where(self.good, self.mean, 0), 84, size=5)
        least = self.patterns.min(axis=0)  # speckles and focused beams vary between frames
        noise = np.sqrt((usual + 1) / len(self.frames))
        bright = self.mean > HOT * usual + HOT_COUNTS * noise
        return np.asarray(self.good & bright & (least > usual))

    @cached_property
    def dark(self) -> NDArray[np.float64]:
        """Dark frame of the detector, zero if unknown, shape (ny, nx)."""
        known = self.scan.detector.dark
        return np.zeros(self.good.shape) if known is None else known.astype(np.float64)

    @cached_property
    def clean(self) -> NDArray[np.bool_]:
        """Pixels that are neither masked nor hot, shape (ny, nx)."""
        return self.good & ~self.hot

    @cached_property
    def totals(self) -> NDArray[np.float64]:
        """Counts of every frame on clean pixels minus the dark frame, shape (n,)."""
        return self._variance - self.dark[self.clean].sum()

    @cached_property
    def time(self) -> NDArray[np.float64]:
        """Relative time of the frames, from -1/2 at the first to 1/2 at the last frame of the scan, shape (n,)."""
        return self.frames / max(len(self.scan.patterns) - 1, 1) - 0.5

    @cached_property
    def autocorrelation(self) -> NDArray[np.float64]:
        """Mean |A_j(r)|^2 over frames, A_j the autocorrelation of an exit wave, shape (ny, nx), r = 0 at n//2.

        A_j is the Fourier transform of a pattern that is divided by its counts. The part that all patterns have in
        common is subtracted, and so is the contribution of counting noise, 1/counts at every r. The remainder is as
        wide as the beam for any curvature of its phase, because waves that are scattered up to one diameter apart
        interfere.
        """
        chosen = np.unique(np.linspace(0, len(self.frames) - 1, TRANSFORMED).astype(int))
        chosen = chosen[self.totals[chosen] > 0]
        power, mean = np.zeros(self.good.shape), np.zeros(self.good.shape, np.complex128)
        if len(chosen) < 2:
            return power
        for index in chosen:
            share = np.where(self.clean, self.patterns[index] - self.dark, 0) / self.totals[index]
            wave = fft.ifft2(fft.ifftshift(share), norm="ortho")
            mean += wave / len(chosen)
            power += np.abs(wave) ** 2 / len(chosen)
        varying = (power - np.abs(mean) ** 2) * len(chosen) / (len(chosen) - 1)
        return np.asarray(fft.fftshift(varying - self.floor))

    @cached_property
    def floor(self) -> float:
        """Contribution of counting noise to |A_j(r)|^2 at every r: sum of the variances of the shares / (ny nx)."""
        positive = self.totals > 0
        return float(np.mean(self._variance[positive] / self.totals[positive] ** 2)) / self.good.size

    @cached_property
    def _variance(self) -> NDArray[np.float64]:
        """Variance of the counts of every frame on clean pixels, which is their sum (Poisson), shape (n,)."""
        return np.array([frame[self.clean].sum(dtype=np.float64) for frame in self.patterns])

    @cached_property
    def wave_extent(self) -> float | None:
        """Extent of the exit waves in pixels, about the beam diameter; None if noise hides it."""
        ring = radial_mean(self.autocorrelation)
        middle = float(ring[3:6].mean())  # the central pixels hold the wave that the sample does not scatter
        below = np.flatnonzero(ring[3:] < EXTENT * middle)
        return float(3 + below[0]) if middle > 0 and below.size else None


def sample_frames(scan: Scan) -> FrameSample:
    """Read a sample of the used frames of a scan: about `PIXELS` detector pixels, at least `FEWEST` frames."""
    used = scan.used_frames
    shape = scan.patterns.shape[1:]
    number = min(len(used), max(FEWEST, PIXELS // int(np.prod(shape))))
    chosen = used[np.unique(np.linspace(0, len(used) - 1, number).astype(int))] if len(used) else used
    patterns, invalid = np.zeros((len(chosen), *shape), np.float32), np.zeros(shape, np.int64)
    for index, frame in enumerate(scan.patterns.pick(chosen)):
        valid = valid_counts(frame)
        patterns[index] = np.where(valid, frame, 0)
        invalid += ~valid
    readable = ~np.isin(chosen, scan.patterns.damaged)
    if not readable.all():
        chosen, patterns, invalid = chosen[readable], patterns[readable], invalid - (~readable).sum()
    return FrameSample(scan, chosen, len(used), patterns, scan.detector.always_good & (invalid <= len(chosen) / 2))


def radial_mean(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over rings one pixel wide about n//2, up to the nearest edge."""
    rows, columns = (np.arange(n) - n // 2 for n in image.shape)
    ring = np.hypot(rows[:, None], columns).astype(np.int64).ravel()
    sums = np.bincount(ring, weights=image.ravel())
    return np.asarray((sums / np.maximum(np.bincount(ring), 1))[: min(image.shape) // 2])
