"""Simulated scans, scores and the store of measurements that the campaigns share (doses.py, judgement.py)."""

import argparse
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import announce
from scipy.ndimage import map_coordinates

import exitwave
from exitwave.errors import ExitwaveError
from exitwave.frames import Frames
from exitwave.positions import object_grid
from exitwave.scan import Result, Scan, Truth
from exitwave.simulation import PRESETS, SPECIMENS, Preset, SimulatedFrames
from exitwave.simulation.probe import make_modes

CAMPAIGN = "campaign"
"""Name of the preset of a draw."""
SATURATION = 1e9
"""Full scale of the detector: above the brightest pixel at 1e9 photons in a frame."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Draw:
    """What determines a simulated scan. The object pixel is 26 nm; the beam is a third of the window."""

    seed: int
    photons: float = 1e6
    modes: int = 1
    specimen: str = "cells"
    pattern: str = "fermat"
    side: int = 64
    """Number of rows of a frame."""
    columns: int | None = None
    """Number of columns of a frame, at least that of the rows; None: the same number."""
    frames: int = 130
    overlap: float = 0.7
    energy: float = 10_000.0
    """Photon energy in eV; distance and defocus change with it, so that beam and object pixel stay the same."""
    position_error: float = 0.0
    """Root mean square of the position errors in object pixels."""
    defocus: float | None = None
    """Defocus of the starting probe, relative to the true one; None: the file has no probe."""

    @property
    def lens(self) -> Preset:
        """The beamline of the scan."""
        scale, ratio = self.side / 64, self.energy / 10_000
        return Preset(
            "26-ID", self.energy, 2.0 * ratio, 150e-6 / scale, self.side, self.frames, 160e-6, 30e-9, 80e-6,
            130e-6 * scale * ratio, self.overlap,
        )  # fmt: skip

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of a frame."""
        return self.side, self.columns or self.side


def build(draw: Draw, **settings: Any) -> Scan:
    """Return the simulated scan with its truth, with frames in memory; settings of `simulate` replace those drawn."""
    PRESETS[CAMPAIGN] = draw.lens
    own = {"frames": draw.frames, "photons": draw.photons, "modes": draw.modes, "scan": draw.pattern}
    own |= {"specimen": draw.specimen, "seed": draw.seed, "saturation": SATURATION}
    own["position_error"] = draw.position_error * draw.lens.probe(draw.shape)[1][0]
    scan = exitwave.simulate(CAMPAIGN, **own | settings)
    scan = scan if draw.columns is None else _rectangular(scan, draw, settings.get("photons", draw.photons))
    return replace(scan, probe=_starting_probe(draw), patterns=Frames(scan.patterns[:]))


def _starting_probe(draw: Draw) -> np.ndarray | None:
    if draw.defocus is None:
        return None
    lens = replace(draw.lens, defocus=draw.defocus * draw.lens.defocus)
    return (np.sqrt(draw.photons) * lens.probe(draw.shape)[0])[None].astype(np.complex64)


def _rectangular(scan: Scan, draw: Draw, photons: float) -> Scan:
    """Return the experiment with a wider detector of the same pixels, simulated again; the object pixel is not square.

    It has no changes of the beam and no bad pixels.
    """
    truth, (ny, nx) = scan.truth, draw.shape
    assert truth is not None
    probe, pixel = draw.lens.probe(draw.shape)
    y, x = object_grid(truth.positions, draw.shape, pixel)
    obj = SPECIMENS[draw.specimen]((y.size, x.size), draw.seed)
    truth = replace(truth, object=obj, x=x, y=y, probe=make_modes(probe * np.sqrt(photons), draw.modes, None))
    py, px = scan.detector.pixel_size
    corner = np.array([(nx // 2 + 0.5) * px, (ny // 2 + 0.5) * py, scan.detector.distance])
    masks = {"mask": np.zeros(draw.shape, np.uint8), "pixel_mask": np.zeros(draw.shape, np.uint32)}
    detector = replace(scan.detector, corner_position=corner, **masks)
    return replace(scan, detector=detector, truth=truth, patterns=SimulatedFrames(truth, detector, draw.seed))


def with_counts(scan: Scan, counts: np.ndarray) -> Scan:
    """Return the scan with other frames."""
    return replace(scan, patterns=Frames(np.asarray(counts, np.float32)))


def with_detector(scan: Scan, **changes: Any) -> Scan:
    """Return the scan with another detector."""
    return replace(scan, detector=replace(scan.detector, **changes))


def near_field_scan(seed: int) -> Scan:
    """Return a near-field scan of 100 frames."""
    specimen = list(SPECIMENS)[seed % len(SPECIMENS)]
    scan = exitwave.simulate("near-field", frames=100, detector=96, seed=seed, specimen=specimen, photons=1e7)
    return replace(scan, probe=None, patterns=Frames(scan.patterns[:]))


def object_error(result: Result, truth: Truth, *, any_orientation: bool = False) -> float | None:
    """Return the error of the object against the truth; None where the grids differ, so that the image is wrong.

    A pixel size within 5 % of the true one is taken for the true one: the error then comes from the image alone. The
    true one of cropped frames is larger (`on_grid_of`). With ``any_orientation`` the least error of the 16 orientations
    and twins is returned.
    """
    truth = on_grid_of(result, truth)
    turned = _orientations(result) if any_orientation else [result]
    found = [_error(_with_true_pixel(each, truth), truth) for each in turned if _has_true_pixel(each, truth)]
    known = [error for error in found if error is not None]
    return min(known) if known else None


def on_grid_of(result: Result, truth: Truth) -> Truth:
    """Return the truth with the pixels that the object of cropped frames has, by cubic interpolation."""
    ratio = [n / m for n, m in zip(truth.probe.shape[1:], result.scan.patterns.shape[1:], strict=True)]
    if ratio == [1, 1] or sorted(result.scan.patterns.shape[1:]) == sorted(truth.probe.shape[1:]):
        return truth
    at = [np.arange(0, n - 1, step) for n, step in zip(truth.object.shape, ratio, strict=True)]
    grid = np.meshgrid(*at, indexing="ij")
    parts = [map_coordinates(part, grid, order=3) for part in (truth.object.real, truth.object.imag)]
    y, x = (np.interp(index, np.arange(len(axis)), axis) for index, axis in zip(at, (truth.y, truth.x), strict=True))
    return replace(truth, object=(parts[0] + 1j * parts[1]).astype(np.complex64), y=y, x=x)


def _orientations(result: Result) -> Iterable[Result]:
    """Yield the result, and its object in the 16 orientations and twins, about the same centre."""
    yield result
    pixel = result.object_pixel
    for obj in (result.object, result.object.conj()):
        for step in (1, -1):
            for k in range(4):
                turned, mask = (np.rot90(array[:, ::step], k) for array in (obj, result.mask))
                y, x = _grid(result, pixel[::-1] if k % 2 else pixel, turned.shape)
                yield replace(result, object=turned.copy(), mask=mask.copy(), y=y, x=x)


def _has_true_pixel(result: Result, truth: Truth) -> bool:
    true = truth.y[1] - truth.y[0], truth.x[1] - truth.x[0]
    return bool(np.allclose(result.object_pixel, true, rtol=0.05))


def _with_true_pixel(result: Result, truth: Truth) -> Result:
    true = truth.y[1] - truth.y[0], truth.x[1] - truth.x[0]
    y, x = _grid(result, true, result.object.shape)
    return replace(result, y=y, x=x)


def _grid(result: Result, pixel: tuple[float, float], shape: tuple[int, ...]) -> list[np.ndarray]:
    """Return coordinates (y, x) with a pixel, about the centre of a result."""
    centres = result.y.mean(), result.x.mean()
    return [centre + step * (np.arange(n) - (n - 1) / 2) for centre, step, n in zip(centres, pixel, shape, strict=True)]


def _error(result: Result, truth: Truth) -> float | None:
    try:
        return float(exitwave.compare(result, truth).error)
    except ExitwaveError:
        return None


class Store:
    """Measurements by name in a JSON file, which is written after every measurement."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, Row] = json.loads(path.read_text()) if path.exists() else {}

    def add(self, name: str, row: Row) -> None:
        """Add a measurement, and write the file."""
        self.rows[name] = row
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.rows, indent=1))
        os.replace(temporary, self.path)


def measure(store: Store, tasks: dict[str, tuple[Any, ...]], function: Callable[..., Row], jobs: int) -> None:
    """Measure what the store lacks in parallel processes: ``function(*task)``, by name."""
    lacking = [(name, function, task) for name, task in tasks.items() if name not in store.rows]
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=8) as pool:
        for name, found in pool.imap_unordered(_attempt, lacking):
            if isinstance(found, str):
                announce(f"{name} failed: {found}")
            else:
                store.add(name, found)
                announce(f"{name} measured ({len(store.rows)} in {store.path})")


def _attempt(task: tuple[str, Callable[..., Row], tuple[Any, ...]]) -> tuple[str, Row | str]:
    """Return the name and the measurement of a task, or why it failed."""
    name, function, arguments = task
    try:
        return name, function(*arguments)
    except Exception as error:
        return name, repr(error)


def options(description: str, default: str) -> argparse.ArgumentParser:
    """Return a parser with the options that the campaigns share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="measure the scans whose name contains this text")
    parser.add_argument("--threads", type=int, default=1, help="threads of a process")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes")
    parser.add_argument("--write", type=Path, default=Path(default), help="JSON file; what it holds is not repeated")
    parser.add_argument("--again", action="store_true", help="repeat what depends on the program; keep references")
    parser.add_argument("--smoke", action="store_true", help="two scans only")
    return parser


def draw_words(draw: Draw) -> Row:
    """Return the settings of a draw, for JSON."""
    return asdict(draw)
