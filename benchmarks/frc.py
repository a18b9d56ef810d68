"""The resolution of two halves of a scan beside that against the truth. Prints a Markdown table.

    python benchmarks/frc.py [FILE]

Simulated scans have 128 x 128 pixels; a measured FILE has no truth. Everything runs on one thread.
"""

import sys
import time
from dataclasses import replace
from typing import Any

import exitwave
from exitwave.scan import Frames, Scan
from exitwave.simulate import simulate

SCANS: dict[str, dict[str, Any]] = {
    "26-ID, spiral, cells, 1e4 photons": {"photons": 1e4},
    "26-ID, spiral, cells, 3e4 photons": {"photons": 3e4},
    "26-ID, spiral, cells, 1e5 photons": {"photons": 1e5},
    "26-ID, spiral, cells, 2e5 photons, two modes": {"photons": 2e5, "modes": 2},
    "26-ID, rings, cells, 1e5 photons": {"photons": 1e5, "scan": "rings", "seed": 5},
    "26-ID, jittered grid, texture, 5e4 photons": {"photons": 5e4, "scan": "jitter", "specimen": "texture"},
    "26-ID, rings, cells, 1e7 photons": {"photons": 1e7, "scan": "rings"},
    "2-ID-D, spiral, cells, 3e4 photons": {"preset": "2-ID-D", "photons": 3e4},
}
FRAMES = 200
STAGES: list[dict[str, Any]] = [
    {"algorithm": "mPIE", "iterations": 40},
    {"algorithm": "ML", "noise": "Poisson", "iterations": 60},
]
"""As a run without settings does it; mPIE alone weighs photons less well, and its halves differ more."""


def row(name: str, scan: Scan, modes: int = 1) -> None:
    """Reconstruct a scan and its halves, and print what they say."""
    result = exitwave.reconstruct(scan, threads=1, stages=STAGES, modes=modes)
    begin = time.perf_counter()
    halves = exitwave.half_scan_frc(result)
    seconds = time.perf_counter() - begin
    cells = [name, f"{result.object_pixel[0] * 1e9:.1f} nm", f"{halves.resolution * 1e9:.1f} nm", "", ""]
    if scan.truth is not None:
        truth = exitwave.compare(result).frc.resolution
        cells[3:] = [f"{truth * 1e9:.1f} nm", f"{halves.resolution / truth:.2f}"]
    print("|", " | ".join([*cells, f"{seconds:.0f} s"]), "|", flush=True)


if __name__ == "__main__":
    print("| Scan | Object pixel | Two halves | Against the truth | Ratio | Time of the halves |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for label, settings in SCANS.items():
        made = simulate(**{"detector": 128, "frames": FRAMES, "seed": 3} | settings)
        row(label, replace(made, patterns=Frames(made.patterns[:])), settings.get("modes", 1))
    for path in sys.argv[1:]:
        measured = exitwave.open(path)
        assert isinstance(measured, Scan)
        row(measured.name, measured)
