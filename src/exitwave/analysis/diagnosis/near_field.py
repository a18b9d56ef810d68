"""Near-field images that are read as far-field patterns."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from skimage.registration import phase_cross_correlation

from exitwave.analysis.diagnosis.codes import Diagnosis, make_diagnosis
from exitwave.frames import MissingFrames, valid_counts
from exitwave.positions import innermost
from exitwave.scan import Scan
from exitwave.units import show

FRAMES, PAIRS = 100, 32
"""Largest numbers of frames in the middle of the scan that are read, and of pairs whose shift is measured."""
NEIGHBOUR = 5
"""Each frame is registered with its fifth nearest neighbour: the structure of the beam disturbs a larger shift less."""
DIM = 0.05
"""Mean counts, relative to the bright pixels, below which a pixel does not take part."""
PROPORTIONAL = 0.75
"""Share of the squared shifts that a linear relation to the positions explains in near-field images. Measured: 0.89 to
0.99 for near-field images (two simulated scans and a measured one), at most 0.43 for far-field patterns (six simulated
scans and a measured one)."""
LARGER = 4.0
"""Ratio of the field that the images show to the window of the far field above which the far field is impossible. A
lens far out of focus gives shadow images, which follow the positions too: 1.9 to 2.2 in simulated far-field scans, 9
for the near-field images of PETRA III."""


class ImageShifts(NamedTuple):
    """How the images of neighbouring frames are shifted against each other."""

    pixels_per_metre: NDArray[np.float64]
    """Shift (row, column) in detector pixels per metre of the positions (y, x), shape (2, 2)."""
    proportional: float
    """Share of the squared shifts that this relation explains, at most 1."""

    @property
    def object_pixel(self) -> float:
        """Size of a detector pixel on the sample in metres, if the frames are images of it."""
        return float(1 / np.sqrt(max(abs(np.linalg.det(self.pixels_per_metre)), 1e-30)))


def measure_shifts(scan: Scan) -> ImageShifts | None:
    """Register the frames of neighbouring positions; return None if there are too few frames.

    Every frame is divided by the mean of all, which removes the structure of the beam.
    """
    used = scan.used_frames
    if isinstance(scan.patterns, MissingFrames) or len(used) < 16:
        return None
    chosen = np.sort(used[innermost(scan.positions[used, :2], FRAMES)])
    good = scan.detector.always_good
    frames = np.zeros((len(chosen), *scan.patterns.shape[1:]), np.float32)
    for frame, counts in zip(frames, scan.patterns.pick(chosen), strict=True):
        frame[good & valid_counts(counts)] = counts[good & valid_counts(counts)]
    mean = frames.mean(axis=0)
    bright = mean > DIM * np.quantile(mean, 0.99)
    if not bright.any():
        return None
    images = [gaussian_filter(np.where(bright, each / np.where(bright, mean, 1) - 1, 0), 1) for each in frames]
    positions = scan.positions[chosen][:, [1, 0]]
    neighbours = cKDTree(positions).query(positions, k=min(NEIGHBOUR + 1, len(positions)))[1][:, -1]
    pairs = [(a, neighbours[a]) for a in np.unique(np.linspace(0, len(chosen) - 1, PAIRS).astype(int))]
    shifts = [phase_cross_correlation(images[a], images[b], normalization=None, upsample_factor=4)[0] for a, b in pairs]
    steps, moved = np.array([positions[b] - positions[a] for a, b in pairs]), np.array(shifts)
    matrix = np.linalg.lstsq(steps, moved, rcond=None)[0]
    power = float((moved**2).sum())
    return ImageShifts(matrix.T, 1 - float(((moved - steps @ matrix) ** 2).sum()) / power if power else 0.0)


def looks_like_near_field(scan: Scan) -> ImageShifts | None:
    """Return the shifts of the images if a far-field scan has near-field images; else None.

    The images follow the positions, and the field that they show is larger than the window of the far field.
    """
    shifts = None if scan.near else measure_shifts(scan)
    if shifts is None or shifts.proportional < PROPORTIONAL:
        return None
    field = max(scan.patterns.shape[1:]) * shifts.object_pixel
    window = max(n * pixel for n, pixel in zip(scan.patterns.shape[1:], scan.object_pixel, strict=True))
    return shifts if field > LARGER * window else None


def diagnose_near_field(scan: Scan) -> Iterator[Diagnosis]:
    """Yield D422 if the frames of a far-field scan are near-field images."""
    shifts = looks_like_near_field(scan)
    if shifts is not None:
        evidence = (
            f"The frames follow the positions by one pixel for every {show(shifts.object_pixel, 'm', 3)}, as images of "
            "the sample do."
        )
        yield make_diagnosis("D422", shifts.object_pixel, evidence)
