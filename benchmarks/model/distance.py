"""Refinement of the detector distance from a wrong starting value. Prints a Markdown table.

    python benchmarks/model/distance.py

Simulated scans have 128 x 128 pixels and 1e7 photons in a frame; everything runs on one thread.
"""

from dataclasses import replace
from typing import Any

import exitwave
from exitwave.frames import Frames
from exitwave.simulation import simulate

CHOICES: dict[str, dict[str, Any]] = {
    "known probe, held": {"iterations": 60, "probe_update": {"enabled": False}},
    "known probe, held for 30 iterations": {"iterations": 80, "probe_update": {"schedule": {"start": 30}}},
    "known probe, refined": {"iterations": 100},
}


def table(frames: int) -> None:
    scan = simulate(detector=128, frames=frames, photons=1e7, seed=3)
    scan = replace(scan, patterns=Frames(scan.patterns[:]))
    true = scan.detector.distance
    print(f"| {frames} frames | Wrong by | after refinement | Error | held out | right distance | wrong, not refined |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, settings in CHOICES.items():
        right = exitwave.reconstruct(scan, threads=1, **settings)
        for off in (0.02, -0.02):
            wrong = replace(scan, detector=replace(scan.detector, distance=true * (1 + off)))
            left = exitwave.reconstruct(wrong, threads=1, **settings)
            found = exitwave.reconstruct(wrong, threads=1, distance_update=True, **settings)
            then = float(found.model["distance"]) / true - 1
            errors = (found.errors[-1], found.holdout_errors[-1], right.errors[-1], left.errors[-1])
            print(
                f"| {name} | {off:+.1%} | {then:+.3%} |",
                " | ".join(f"{e:.5f}" for e in errors),
                "|",
                flush=True,
            )


if __name__ == "__main__":
    table(100)
    table(250)
