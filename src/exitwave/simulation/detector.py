"""The simulated detector: its dark current and bad pixels, and what it reads of an intensity."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from exitwave.scan import Detector

DEAD, HOT = np.uint32(1 << 1), np.uint32(1 << 3)
"""NeXus bits of `Detector.pixel_mask`: dead, and over-responding."""
SATURATION = 2.0**20 - 1
"""Full scale of the counter, unless told otherwise."""
FAINTEST = 0.1
"""Least efficiency of a pixel, relative to the mean."""


def make_detector(
    shape: tuple[int, int],
    pixel: float,
    distance: float,
    *,
    dark: float,
    flat: float,
    bad_pixels: float,
    saturation: float | None,
    seed: int,
) -> Detector:
    """Return a detector with faults: a fraction of bad pixels, half of them hot and half dead, dark frame, flat field.

    The beam hits the centre of pixel n//2. The dark frame has a fixed pattern of +-30 % about its mean. The flat field
    has the root mean square ``flat`` about a mean of 1 over the good pixels.
    """
    (ny, nx), rng = shape, stream(seed, 2)
    reasons = np.zeros(ny * nx, np.uint32)
    bad = rng.permutation(ny * nx)[: round(bad_pixels * ny * nx)]
    reasons[bad[::2]], reasons[bad[1::2]] = HOT, DEAD
    reasons = reasons.reshape(shape)
    pattern = rng.uniform(0.7, 1.3, shape)
    efficiency = np.maximum(1 + flat * stream(seed, 5).standard_normal(shape), FAINTEST)
    return Detector(
        distance=distance,
        pixel_size=(pixel, pixel),
        mask=(reasons != 0).astype(np.uint8),
        corner_position=np.array([(nx // 2 + 0.5) * pixel, (ny // 2 + 0.5) * pixel, distance]),
        saturation=SATURATION if saturation is None else float(saturation),
        pixel_mask=reasons,
        dark=(dark * pattern / pattern.mean()).astype(np.float32) if dark > 0 else None,
        flat=(efficiency / efficiency[reasons == 0].mean()).astype(np.float32) if flat > 0 else None,
    )


def expose(
    intensity: NDArray[np.float64],
    detector: Detector,
    rng: np.random.Generator,
    *,
    background: NDArray[np.float64] | None = None,
    blur: float = 0.0,
) -> NDArray[np.float32]:
    """Return what the detector counts of an expected intensity, shape (ny, nx).

    The intensity is blurred, multiplied with the flat field, and added to background and dark frame, before it is
    counted. A dead pixel reads 0, a hot one full scale.
    """
    expected = gaussian_filter(intensity, blur, mode="wrap") if blur > 0 else intensity
    expected = expected if detector.flat is None else expected * detector.flat
    for more in (background, detector.dark):
        expected = expected if more is None else expected + more
    counts = rng.poisson(expected).astype(np.float32)
    assert detector.pixel_mask is not None
    assert detector.saturation is not None
    counts[(detector.pixel_mask & DEAD) != 0] = 0
    counts[(detector.pixel_mask & HOT) != 0] = detector.saturation
    return np.minimum(counts, np.float32(detector.saturation))


def stream(seed: int, *key: int) -> np.random.Generator:
    """Return the random numbers of one purpose: streams of different keys are independent."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
