"""The resolution from two halves of a scan beside the resolution against the truth. Prints a Markdown table.

    python benchmarks/frc.py [--seed N] [FILE]

Simulated scans have 128 x 128 pixels; a measured FILE has no truth. Everything runs on one thread. A star marks the
default halves.
"""

import argparse
import time
from dataclasses import replace
from typing import Any, get_args

import exitwave
from exitwave.analysis.deviance import deviance_of_used
from exitwave.frames import Frames
from exitwave.reconstruction.half_scan_frc import Split, default_split
from exitwave.scan import Scan
from exitwave.simulation import simulate

SCANS: dict[str, dict[str, Any]] = {
    "26-ID, spiral, cells, 1e4 photons": {"photons": 1e4},
    "26-ID, spiral, cells, 3e4 photons": {"photons": 3e4},
    "26-ID, spiral, cells, 1e5 photons": {"photons": 1e5},
    "26-ID, spiral, cells, 2e5 photons, two modes": {"photons": 2e5, "modes": 2},
    "26-ID, rings, cells, 1e5 photons": {"photons": 1e5, "scan": "rings"},
    "26-ID, jittered grid, texture, 5e4 photons": {"photons": 5e4, "scan": "jitter", "specimen": "texture"},
    "26-ID, rings, cells, 1e7 photons": {"photons": 1e7, "scan": "rings"},
    "2-ID-D, spiral, cells, 3e4 photons": {"preset": "2-ID-D", "photons": 3e4},
}
FRAMES = 200
STAGES: list[dict[str, Any]] = [
    {"algorithm": "mPIE", "iterations": 40},
    {"algorithm": "ML", "noise": "Poisson", "iterations": 60},
]
"""The stages of a run without settings. The weights of mPIE suit Poisson noise less well, so its halves differ more."""


def row(name: str, scan: Scan, modes: int = 1) -> None:
    """Reconstruct a scan and its halves, and print their resolutions; a star marks the default halves."""
    result = exitwave.reconstruct(scan, threads=1, stages=STAGES, modes=modes)
    truth = None if scan.truth is None else exitwave.compare(result).frc.resolution
    default = default_split(result)
    cells = [name, f"{deviance_of_used(result).ratio:.2f}", f"{result.object_pixel[0] * 1e9:.1f} nm"]
    cells.append("" if truth is None else f"{truth * 1e9:.1f} nm")
    for split in get_args(Split):
        begin = time.perf_counter()
        found = exitwave.half_scan_frc(result, split=split).resolution
        ratio = "" if truth is None else f" = {found / truth:.2f}"
        cells.append(f"{found * 1e9:.1f} nm{ratio}{' *' * (split == default)} ({time.perf_counter() - begin:.0f} s)")
    print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="measured scans")
    parser.add_argument("--seed", type=int, default=3, help="seed of the samples and the noise of the simulated scans")
    arguments = parser.parse_args()
    print(
        "| Scan | Error over noise | Object pixel | Against the truth | Halves of the counts | Halves of the frames |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for label, settings in SCANS.items():
        made = simulate(**{"detector": 128, "frames": FRAMES, "seed": arguments.seed} | settings)
        row(label, replace(made, patterns=Frames(made.patterns[:])), settings.get("modes", 1))
    for path in arguments.files:
        measured = exitwave.open(path)
        assert isinstance(measured, Scan)
        row(measured.name, measured)
