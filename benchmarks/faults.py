"""Faults of scans, one at a time, with the diagnoses that name them; and the imperfections of real scans.

A fault changes the settings of the simulation, or the arrays of the simulated scan, at random places and sizes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from campaign import Draw, build, near_field_scan, with_counts, with_detector
from scipy.ndimage import gaussian_filter

from exitwave.optics import probe_diameter
from exitwave.scan import Scan
from exitwave.simulation import SimulatedFrames

Random = np.random.Generator
Change = Callable[[Scan, Random], Scan]
SUBPOSITIONS = 5
"""Number of positions that a vibrating frame is the mean of."""


@dataclass(frozen=True)
class Fault:
    """A fault, and how it is named and scored."""

    codes: str
    """Codes of the diagnoses that name it, any of which is right."""
    change: Change = lambda scan, rng: scan
    """Changes the scan."""
    settings: Callable[[Random], dict[str, Any]] = lambda rng: {}
    """Settings of `simulate`."""
    draw: dict[str, Any] = field(default_factory=dict)
    """Fields of `Draw` of the faulty scan and of the clean one."""
    altered: dict[str, Any] = field(default_factory=dict)
    """Fields of `Draw` of the faulty scan only."""
    any_orientation: bool = False
    """Whether an image in any orientation is right."""
    refusal: str = ""
    """Regular expression that an error message must contain to name the fault where the program refuses the scan."""
    near: bool = False
    """Whether the scan is in the near field."""
    repair: str = ""
    """Regular expression of the decision or finding that names the fault where the program has repaired it."""


def _counts(scan: Scan) -> np.ndarray:
    return np.array(scan.patterns[:], np.float64)


def _pixel(scan: Scan) -> float:
    return scan.object_pixel[0]


def _diameter(scan: Scan) -> float:
    """Return the diameter of the true beam in metres."""
    assert scan.truth is not None
    return float(probe_diameter(scan.truth.probe[0].astype(np.complex128), scan.object_pixel))


def _time(scan: Scan) -> np.ndarray:
    """Return the time of every frame, from -1/2 to 1/2."""
    return np.linspace(-0.5, 0.5, len(scan.positions))


def _moved(scan: Scan, moves: np.ndarray) -> Scan:
    """Return the scan with its nominal positions moved by (x, y) in object pixels, shape (npos, 2)."""
    positions = scan.positions.copy()
    positions[:, :2] += moves * _pixel(scan)
    return replace(scan, positions=positions)


def _kept(scan: Scan, keep: np.ndarray) -> Scan:
    """Return the scan with some of its frames."""
    assert scan.truth is not None
    truth = replace(scan.truth, positions=scan.truth.positions[keep])
    return with_counts(replace(scan, positions=scan.positions[keep], truth=truth), _counts(scan)[keep])


def lost_trigger(scan: Scan, rng: Random) -> Scan:
    """One or two frames are lost: later frames belong to earlier positions, and the last frames are empty."""
    lost, at = int(rng.integers(1, 3)), int(rng.integers(0.15 * len(scan.positions), 0.85 * len(scan.positions)))
    return shift_frames(scan, lost, at)


def shift_frames(scan: Scan, lost: int, at: int) -> Scan:
    counts, shifted = _counts(scan), _counts(scan)
    shifted[at:-lost], shifted[-lost:] = counts[at + lost :], 0
    return with_counts(scan, shifted)


def doubled_trigger(scan: Scan, rng: Random) -> Scan:
    """One or two frames are recorded twice: later frames belong to later positions."""
    extra, at = int(rng.integers(1, 3)), int(rng.integers(0.15 * len(scan.positions), 0.85 * len(scan.positions)))
    counts, shifted = _counts(scan), _counts(scan)
    shifted[at + extra :] = counts[at:-extra]
    for i in range(extra):
        shifted[at + i] = counts[at]
    return with_counts(scan, shifted)


def stuck(scan: Scan, rng: Random) -> Scan:
    """10 to 25 consecutive frames are identical."""
    count = int(rng.integers(10, 26))
    return repeat_frame(scan, int(rng.integers(5, len(scan.positions) - count - 5)), count)


def repeat_frame(scan: Scan, at: int, count: int) -> Scan:
    counts = _counts(scan)
    counts[at : at + count] = counts[at]
    return with_counts(scan, counts)


def _factor(rng: Random) -> float:
    return float(rng.choice([0.5, 0.7, 1.4, 2.0]))


def pixel_size(scan: Scan, rng: Random) -> Scan:
    """The pixel size of the detector is wrong by a factor."""
    factor = _factor(rng)
    return with_detector(scan, pixel_size=tuple(factor * side for side in scan.detector.pixel_size))


def distance(scan: Scan, rng: Random) -> Scan:
    """The distance of the detector is wrong by a factor."""
    return with_detector(scan, distance=_factor(rng) * scan.detector.distance)


def energy(scan: Scan, rng: Random) -> Scan:
    """The energy is wrong by a factor."""
    return replace(scan, energy=_factor(rng) * scan.energy)


def far_field(scan: Scan, rng: Random) -> Scan:
    """The near field is read as the far field."""
    return replace(scan, near=None)


def drifting_centre(scan: Scan, rng: Random) -> Scan:
    """The pattern moves by several detector pixels during the scan."""
    reach, axis = rng.uniform(4, 10), int(rng.integers(1, 3))
    shifts = np.rint(reach * _time(scan)).astype(int)
    counts = [np.roll(frame, shift, axis - 1) for frame, shift in zip(_counts(scan), shifts, strict=True)]
    return with_counts(scan, np.array(counts))


def exchanged_axes(scan: Scan, rng: Random) -> Scan:
    """The axes x and y of the positions are exchanged."""
    return replace(scan, positions=scan.positions[:, [1, 0, 2]])


def mirrored(scan: Scan, rng: Random) -> Scan:
    """One axis of the positions has the wrong sign."""
    positions, axis = scan.positions.copy(), int(rng.integers(0, 2))
    positions[:, axis] = 2 * positions[:, axis].mean() - positions[:, axis]
    return replace(scan, positions=positions)


def wrong_positions(scan: Scan, rng: Random) -> Scan:
    """The positions are wrong by 3 to 8 pixels."""
    return _moved(scan, rng.normal(0, rng.uniform(3, 8), (len(scan.positions), 2)))


def position_drift(scan: Scan, rng: Random) -> Scan:
    """The positions drift by 4 to 10 pixels."""
    angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(4, 10)
    return _moved(scan, reach * _time(scan)[:, None] * [np.cos(angle), np.sin(angle)])


def hole(scan: Scan, rng: Random) -> Scan:
    """A disc without positions, 0.8 to 1.1 beam diameters in radius, near the middle of the scan."""
    places = scan.positions[:, :2] - scan.positions[:, :2].mean(0)
    centre = rng.uniform(-0.2, 0.2, 2) * np.ptp(places, axis=0)
    radius = rng.uniform(0.8, 1.1) * _diameter(scan)
    return _kept(scan, np.hypot(*(places - centre).T) > radius)


def beam_loss(scan: Scan, rng: Random) -> Scan:
    """8 to 15 frames, consecutive or anywhere, have 0 to 3 % of their counts."""
    count, counts = int(rng.integers(8, 16)), _counts(scan)
    start = int(rng.integers(0, len(counts) - count))
    lost = np.arange(start, start + count) if rng.random() < 0.5 else rng.choice(len(counts), count, replace=False)
    counts[lost] = rng.binomial(counts[lost].astype(np.int64), rng.uniform(0, 0.03))
    return with_counts(scan, counts)


def intensity_drift(scan: Scan, rng: Random) -> Scan:
    """The intensity falls by 40 to 70 % during the scan."""
    factors = 1 - rng.uniform(0.4, 0.7) * (_time(scan) + 0.5)
    return with_counts(scan, rng.binomial(_counts(scan).astype(np.int64), factors[:, None, None]))


def saturation(scan: Scan, rng: Random) -> Scan:
    """The brightest 0.5 to 2 % of the counts are cut off; the file does not know it."""
    counts = _counts(scan)
    return with_counts(scan, np.minimum(counts, np.ceil(np.quantile(counts, 1 - rng.uniform(0.005, 0.02)))))


def hot_pixels(scan: Scan, rng: Random) -> Scan:
    """5 to 20 unmasked pixels count too much."""
    counts = _counts(scan)
    pixels = rng.choice(counts[0].size, int(rng.integers(5, 21)), replace=False)
    counts.reshape(len(counts), -1)[:, pixels] += np.rint(rng.uniform(0.2, 1) * counts.max())
    return with_counts(scan, counts)


def dead_pixels(scan: Scan, rng: Random) -> Scan:
    """10 to 30 unmasked pixels among the brightest third count nothing."""
    counts = _counts(scan)
    bright = np.argsort(counts.mean(0).ravel())[-counts[0].size // 3 :]
    counts.reshape(len(counts), -1)[:, rng.choice(bright, int(rng.integers(10, 31)), replace=False)] = 0
    return with_counts(scan, counts)


def background(scan: Scan, rng: Random) -> Scan:
    """A uniform background of 5 to 30 % of the counts."""
    counts = _counts(scan)
    return with_counts(scan, counts + rng.poisson(rng.uniform(0.05, 0.3) * counts.mean(), counts.shape))


def inverted_mask(scan: Scan, rng: Random) -> Scan:
    """Good pixels are masked, and bad ones are not."""
    return with_detector(scan, mask=1 - scan.detector.mask, pixel_mask=None)


def needless_mask(scan: Scan, rng: Random) -> Scan:
    """30 to 80 good pixels among the brightest quarter are masked."""
    mean, mask = _counts(scan).mean(0).ravel(), scan.detector.mask.copy()
    bright = np.argsort(mean)[-mean.size // 4 :]
    mask.reshape(-1)[rng.choice(bright, int(rng.integers(30, 81)), replace=False)] = 1
    return with_detector(scan, mask=mask, pixel_mask=None)


def binning(scan: Scan, rng: Random) -> Scan:
    """Detector pixels are binned 2 x 2, so that the speckles are too fine for them."""
    counts = _counts(scan)
    frames, ny, nx = counts.shape
    counts = counts.reshape(frames, ny // 2, 2, nx // 2, 2).sum((2, 4))
    py, px = scan.detector.pixel_size
    corner = np.array([nx // 2 * px, ny // 2 * py, scan.detector.distance])
    mask = np.zeros(counts.shape[1:], np.uint8)
    binned = with_detector(scan, pixel_size=(2 * py, 2 * px), mask=mask, pixel_mask=None, corner_position=corner)
    probe = None if scan.probe is None else scan.probe[:, ny // 4 : -(ny // 4), nx // 4 : -(nx // 4)]
    return with_counts(replace(binned, probe=probe), counts)


TURNED = "orientation: (transposed|rows|columns)"
"""The choice that repairs wrong axes."""
FAULTS: dict[str, Fault] = {
    "lost trigger": Fault("D419", lost_trigger),
    "doubled trigger": Fault("D419", doubled_trigger),
    "stuck detector": Fault("D420", stuck),
    "pixel size": Fault("D411", pixel_size),
    "distance": Fault("D411", distance),
    "energy": Fault("D411", energy),
    "near field": Fault("D422", far_field, near=True, refusal="near"),
    "drifting centre": Fault("D421 D406", drifting_centre),
    "exchanged axes": Fault(
        "D412",
        exchanged_axes,
        draw={"columns": 80},
        any_orientation=True,
        repair=TURNED,
    ),
    "mirrored axis": Fault("D412", mirrored, any_orientation=True, repair=TURNED),
    "wrong positions": Fault("D408", wrong_positions),
    "position drift": Fault("D405 D408", position_drift),
    "holes": Fault("D403", hole),
    "too little overlap": Fault("D402", altered={"overlap": 0.05}),
    "beam loss": Fault("D407", beam_loss, repair="frames without beam|no beam"),
    "intensity drift": Fault("D406", intensity_drift),
    "probe drift": Fault("D406", settings=lambda rng: {"probe_drift": rng.uniform(0.1, 0.3)}),
    "saturation": Fault("D410", saturation, repair="saturation estimated"),
    "hot pixels": Fault("D414", hot_pixels, repair=r"pixels: masked.*\bhot"),
    "dead pixels": Fault("D415", dead_pixels, repair=r"pixels: masked.*\bdead"),
    "background": Fault("D416", background),
    "partial coherence": Fault("D409", settings=lambda rng: {"modes": 1, "mode_powers": [0.5, 0.25, 0.15, 0.1]}),
    "inverted mask": Fault(
        "D417",
        inverted_mask,
        settings=lambda rng: {"bad_pixels": rng.uniform(0.003, 0.01), "saturation": 2**20},
        refusal="mask",
    ),
    "needless mask": Fault("D417", needless_mask),
    "binning": Fault("D413", binning),
    "few photons": Fault("D401", settings=lambda rng: {"photons": 10 ** rng.uniform(2.3, 3)}),
    "raster grid": Fault("D404", altered={"pattern": "raster"}),
    "point spread": Fault("D418 D409", settings=lambda rng: {"blur": rng.uniform(0.7, 1.2)}),
}
"""Faults by name; D401 to D418 are all covered."""


def faulty_scan(name: str, draw: Draw, rng: Random) -> Scan:
    """Return a scan with one fault."""
    fault = FAULTS[name]
    if fault.near:
        return fault.change(near_field_scan(draw.seed), rng)
    return fault.change(build(replace(draw, **fault.altered), **fault.settings(rng)), rng)


def clean_scan(name: str, draw: Draw) -> Scan:
    """Return the same scan without the fault; without a name, the clean scan of a draw."""
    return near_field_scan(draw.seed) if name and FAULTS[name].near else build(draw)


def vibrating(scan: Scan, rng: Random, seed: int, rms: float = 0.5, blur: float = 0.0) -> Scan:
    """Return the scan with frames that are the incoherent mean of several positions, `rms` object pixels apart."""
    truth, moves = scan.truth, rng.normal(0, rms, (SUBPOSITIONS, len(scan.positions), 2))
    assert truth is not None
    moves -= moves.mean(0)
    moves *= rms / moves.std()
    total = np.zeros(scan.patterns.shape)
    for i, move in enumerate(moves):
        positions = truth.positions.copy()
        positions[:, :2] += move * _pixel(scan)
        moved = replace(truth, positions=positions, probe=truth.probe / np.float32(np.sqrt(SUBPOSITIONS)))
        total += SimulatedFrames(moved, scan.detector, 1000 * seed + i, blur=blur)[:]
    return with_counts(scan, total)


def stray_light(scan: Scan, rng: Random, share: float = 0.01) -> Scan:
    """Return the scan with smooth stray light of 1 % of the counts."""
    counts = _counts(scan)
    light = gaussian_filter(counts.mean(0), counts.shape[1] / 10)
    light *= share * counts.sum() / len(counts) / light.sum()
    return with_counts(scan, counts + rng.poisson(light, counts.shape))


IMPERFECTIONS = ("flat field", "vibration", "position drift", "intensity", "point spread", "stray light")
"""Imperfections of real scans."""


def imperfect_scan(names: tuple[str, ...], draw: Draw, rng: Random) -> Scan:
    """Return a scan with imperfections: flat-field errors of 3 %, vibration of half a pixel, drift of the beam ..."""
    settings: dict[str, Any] = {}
    blur = rng.uniform(0.3, 0.6) if "point spread" in names else 0.0
    settings |= {"flat": 0.03} if "flat field" in names else {}
    settings |= {"beam_fluctuation": 0.05} if "intensity" in names else {}
    settings |= {"blur": blur} if blur else {}
    scan = build(draw, **settings)
    scan = vibrating(scan, rng, draw.seed, blur=blur) if "vibration" in names else scan
    scan = with_detector(scan, flat=None)
    if "position drift" in names:
        walk = np.cumsum(rng.standard_normal((len(scan.positions), 2)), axis=0)
        walk -= walk.mean(0)
        scan = _moved(scan, walk / walk.std())
    return stray_light(scan, rng) if "stray light" in names else scan
