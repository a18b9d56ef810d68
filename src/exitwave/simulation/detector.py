"""The simulated detector: its dark current, its bad pixels, and the counts that it reads for an intensity."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from exitwave.scan import Detector
from exitwave.simulation.settings import DetectorSettings

DEAD, HOT = np.uint32(1 << 1), np.uint32(1 << 3)
"""NeXus bits of `Detector.pixel_mask`: dead, and over-responding."""
SATURATION = 2.0**20 - 1
"""Full scale of the counter where the settings have none."""
LEAST_EFFICIENCY = 0.1
"""Least efficiency of a pixel, relative to the mean."""


def make_detector(
    shape: tuple[int, int], pixel: float, distance: float, settings: DetectorSettings, seed: int
) -> Detector:
    """Return a detector with faults: bad pixels, half of them hot and half dead, a dark frame and a flat field.

    The beam hits the centre of pixel n//2. The dark frame has a fixed pattern of +-30 % about its mean. The flat field
    has the root mean square ``settings.flat`` about a mean of 1 over the good pixels. Lengths are in metres.
    """
    (ny, nx), rng = shape, random_stream(seed, 2)
    reasons = np.zeros(ny * nx, np.uint32)
    bad = rng.permutation(ny * nx)[: round(settings.bad_pixels * ny * nx)]
    reasons[bad[::2]], reasons[bad[1::2]] = HOT, DEAD
    reasons = reasons.reshape(shape)
    pattern = rng.uniform(0.7, 1.3, shape)
    efficiency = np.maximum(1 + settings.flat * random_stream(seed, 5).standard_normal(shape), LEAST_EFFICIENCY)
    return Detector(
        distance=distance,
        pixel_size=(pixel, pixel),
        mask=(reasons != 0).astype(np.uint8),
        corner_position=np.array([(nx // 2 + 0.5) * pixel, (ny // 2 + 0.5) * pixel, distance]),
        saturation=SATURATION if settings.saturation is None else float(settings.saturation),
        pixel_mask=reasons,
        dark=(settings.dark * pattern / pattern.mean()).astype(np.float32) if settings.dark > 0 else None,
        flat=(efficiency / efficiency[reasons == 0].mean()).astype(np.float32) if settings.flat > 0 else None,
    )


def read_out(
    intensity: NDArray[np.float64],
    detector: Detector,
    rng: np.random.Generator,
    *,
    background: NDArray[np.float64] | None = None,
    blur: float = 0.0,
) -> NDArray[np.float32]:
    """Return the counts of the detector for an expected intensity, shape (ny, nx).

    The intensity is blurred (standard deviation in pixels) and multiplied by the flat field; background and dark frame
    are added; Poisson counts are drawn. A dead pixel reads 0, a hot pixel full scale.
    """
    expected = gaussian_filter(intensity, blur, mode="wrap") if blur > 0 else intensity
    expected = expected if detector.flat is None else expected * detector.flat
    for offset in (background, detector.dark):
        expected = expected if offset is None else expected + offset
    counts = rng.poisson(expected).astype(np.float32)
    assert detector.pixel_mask is not None
    assert detector.saturation is not None
    counts[(detector.pixel_mask & DEAD) != 0] = 0
    counts[(detector.pixel_mask & HOT) != 0] = detector.saturation
    return np.minimum(counts, np.float32(detector.saturation))


def random_stream(seed: int, *key: int) -> np.random.Generator:
    """Return the random numbers for one purpose: streams with different keys are independent."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
