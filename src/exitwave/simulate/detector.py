"""The simulated detector: its dark current and bad pixels, and what it reads of an intensity."""

import numpy as np
from numpy.typing import NDArray

from exitwave.scan import Detector

DEAD, HOT = np.uint32(1 << 1), np.uint32(1 << 3)
"""NeXus bits of `Detector.pixel_mask`: dead, and over-responding."""
SATURATION = 2.0**20 - 1
"""Full scale of the counter, unless told otherwise."""


def make_detector(
    shape: tuple[int, int],
    pixel: float,
    distance: float,
    *,
    dark: float,
    bad_pixels: float,
    saturation: float | None,
    rng: np.random.Generator,
) -> Detector:
    """Return a detector with faults: a fraction of bad pixels, half of them hot and half dead, and a dark frame.

    The beam hits the centre of pixel n//2. The dark frame has a fixed pattern of +-30 % about its mean.
    """
    ny, nx = shape
    reasons = np.zeros(ny * nx, np.uint32)
    bad = rng.permutation(ny * nx)[: round(bad_pixels * ny * nx)]
    reasons[bad[::2]], reasons[bad[1::2]] = HOT, DEAD
    reasons = reasons.reshape(shape)
    pattern = rng.uniform(0.7, 1.3, shape)
    return Detector(
        distance=distance,
        pixel_size=(pixel, pixel),
        mask=(reasons != 0).astype(np.uint8),
        corner_position=np.array([(nx // 2 + 0.5) * pixel, (ny // 2 + 0.5) * pixel, distance]),
        saturation=SATURATION if saturation is None else float(saturation),
        pixel_mask=reasons,
        dark=(dark * pattern / pattern.mean()).astype(np.float32) if dark > 0 else None,
    )


def expose(intensity: NDArray[np.float64], detector: Detector, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return what the detector counts of an expected intensity, shape (ny, nx): Poisson, dark, faults, saturation.

    A dead pixel reads 0, a hot one full scale.
    """
    expected = intensity if detector.dark is None else intensity + detector.dark
    counts = rng.poisson(expected).astype(np.float32)
    assert detector.pixel_mask is not None
    assert detector.saturation is not None
    counts[(detector.pixel_mask & DEAD) != 0] = 0
    counts[(detector.pixel_mask & HOT) != 0] = detector.saturation
    return np.minimum(counts, np.float32(detector.saturation))


def stream(seed: int, *key: int) -> np.random.Generator:
    """Return the random numbers of one purpose: streams of different keys are independent."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
