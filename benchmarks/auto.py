"""The run without settings beside the best run with the true values, on random simulated scans.

    python benchmarks/auto.py [--scans 20] [--first 0] [--threads 2]

The scans have the schema's typical ranges: both presets, four patterns, 1e5 to 1e8 photons in a frame, 1 to 3 modes,
position errors of 0 to 2 pixels, 0 to 1 % bad pixels, dark current, a centre that is off by up to 8 pixels. Half of the
files have a mask of their bad pixels, half have a dark frame; none has a probe. The reference run has the true
positions, probe, bad pixels, dark current and centre, and is the best of several stages (STAGES). Prints a Markdown
table.
"""

import argparse
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import exitwave
from exitwave.errors import ExitwaveError
from exitwave.frames import Frames
from exitwave.optics import phase_ramp
from exitwave.scan import Scan
from exitwave.simulation import simulate
from exitwave.simulation.presets import preset

POISSON = {"algorithm": "ML", "noise": "Poisson"}
STAGES: dict[str, dict[str, Any]] = {
    "mPIE 40": {"iterations": 40},
    "ML 20": {**POISSON, "iterations": 20},
    "ML 100": {**POISSON, "iterations": 80},
}
"""Stages of the reference run, each continuing the one before; the best result of the three is the reference."""
TOLERANCE = 1.25
"""Largest error of the object, relative to the reference, that counts as success."""


@dataclass(frozen=True)
class Draw:
    """A simulated scan with the true values, and as a user has it."""

    known: Scan
    """The scan with the true positions, the true probe and the true centre."""
    given: Scan
    """The scan as a user has it."""
    words: list[str]
    """The random settings, as cells of the table."""


def draw(number: int) -> Draw:
    """Return a random scan."""
    rng = np.random.default_rng([5, number])
    name = str(rng.choice(["26-ID", "2-ID-D"]))
    pattern = str(rng.choice(["fermat", "raster", "rings", "jitter"]))
    side, frames = 128, int(rng.integers(200, 300))
    photons, modes = 10 ** rng.uniform(5, 8), int(rng.integers(1, 4))
    jitter, bad, dark = rng.uniform(0, 2), rng.uniform(0, 0.01), float(rng.choice([0, 0.01, 0.1, 0.5]))
    centre = tuple(int(shift) for shift in rng.integers(-8, 9, 2))
    specimen = str(rng.choice(["cells", "star", "texture", "particles"]))
    settings: dict[str, Any] = {"scan": pattern, "detector": side, "specimen": specimen}
    pixel = preset(name).probe((side, side))[1][0]
    scan = simulate(
        name, **settings, frames=frames, photons=photons, modes=modes, position_error=jitter * pixel, dark=dark,
        bad_pixels=bad, centre=centre, seed=number,
    )  # fmt: skip
    scan = replace(scan, patterns=Frames(scan.patterns[:]))
    has_mask, has_dark = rng.random() < 0.5, rng.random() < 0.5
    detector = scan.detector
    detector = detector if has_mask else replace(detector, mask=np.zeros_like(detector.mask), pixel_mask=None)
    detector = detector if has_dark else replace(detector, dark=None)
    assert scan.truth is not None
    ramp = phase_ramp((side, side), 2 * np.pi * np.array(centre) / side)
    known = replace(scan, positions=scan.truth.positions, probe=(scan.truth.probe * ramp).astype(np.complex64))
    words = [name, pattern, specimen, f"{len(scan.positions)} x {side}", f"{photons:.1e}", f"{modes}", f"{jitter:.1f}"]
    words += [f"{bad:.1%}" + ("" if has_mask else " *"), f"{dark:g}" + ("" if has_dark else " *"), f"{centre}"]
    return Draw(known, replace(scan, probe=None, detector=detector), words)


def reference(scan: Scan, threads: int) -> tuple[float, str]:
    """Return the least error of the object of the reference run, and the name of its stage."""
    found: dict[str, float] = {}
    state: Any = scan
    for name, stage in STAGES.items():
        state = exitwave.reconstruct(state, threads=threads, **stage)
        found[name] = exitwave.compare(state).error
    name = min(found, key=found.__getitem__)
    return found[name], name


def without_settings(scan: Scan, threads: int) -> tuple[float, str]:
    """Return the error of the object of the run without settings, and what was chosen."""
    found = exitwave.choose(scan, threads=threads)
    result = exitwave.reconstruct(found.scan, found.recipe, choices=found.choices)
    chosen = "; ".join(f"{decision.name}" for decision in (*result.scan.preparation, *result.choices))
    return exitwave.compare(result).error, chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    head = ["", "beamline", "pattern", "sample", "frames", "photons", "modes", "jitter (px)", "bad", "dark", "centre"]
    head += ["reference", "stage", "without settings", "ratio", "seconds", "chosen"]
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|", flush=True)
    good = 0
    for number in range(options.first, options.first + options.scans):
        scan = draw(number)
        least, name = reference(scan.known, options.threads)
        begin = time.perf_counter()
        try:
            error, chosen = without_settings(scan.given, options.threads)
        except ExitwaveError as failure:
            error, chosen = np.inf, str(failure)
        seconds = time.perf_counter() - begin
        good += error < TOLERANCE * least
        row = [f"{number}", *scan.words, f"{least:.1%}", name, f"{error:.1%}", f"{error / least:.2f}", f"{seconds:.0f}"]
        print("| " + " | ".join([*row, chosen]) + " |", flush=True)
    print(f"\n{good} of {options.scans} within {TOLERANCE - 1:.0%}. * not in the file")


if __name__ == "__main__":
    main()
