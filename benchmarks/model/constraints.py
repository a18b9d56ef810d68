"""Effect of constraints, and of probes and objects shared by scans, on simulated scans. Prints Markdown tables."""

import argparse
import dataclasses
from typing import Any

import numpy as np

import exitwave
from exitwave.frames import Frames
from exitwave.scan import Scan
from exitwave.simulation import simulate

CONSTRAINTS: dict[str, dict[str, Any]] = {
    "none": {},
    "amplitude 0 to 1": {"object_constraints": {"amplitude": (0.0, 1.0)}},
    "phase only (wrong for this object)": {"object_constraints": {"phase_only": True}},
    "total variation 0.001": {"object_constraints": {"total_variation": 0.001}},
    "smoothness 0.01": {"object_constraints": {"smoothness": 0.01}},
    "pupil of the mean pattern": {"probe_constraints": {"fourier_support": "pattern"}},
    "shrink-wrap": {"probe_constraints": {"support": "shrink-wrap"}},
    "power, centre, ramp": {"probe_constraints": {"power": True, "centre": "whole", "ramp": True}},
}


def row(name: str, result: Any) -> None:
    """Print a row of a table."""
    error = exitwave.compare(result).error
    print(f"| {name} | {result.errors[-1]:.5f} | {result.holdout_errors[-1]:.5f} | {error:.4f} |", flush=True)


def head(title: str) -> None:
    """Print the head of a table."""
    print(f"\n| {title} | error | held out | object against the truth |\n|---|---|---|---|")


def thinned(scan: Scan, every: int) -> Scan:
    """Return every n-th frame of a scan."""
    frames = np.arange(0, len(scan.positions), every)
    return dataclasses.replace(scan, patterns=Frames(scan.patterns[:][frames]), positions=scan.positions[frames])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=40)
    settings = {"threads": 1, "iterations": parser.parse_args().iterations}
    scan = simulate(detector=128, frames=60, photons=2e5, seed=3)
    head("constraint")
    for name, constraint in CONSTRAINTS.items():
        row(name, exitwave.reconstruct(scan, **settings, **constraint))
    rough = (np.roll(scan.probe, 2, 1) * np.exp(0.03j * np.arange(128))).astype(np.complex64)
    scan = dataclasses.replace(scan, probe=rough)
    other = simulate(detector=128, frames=60, photons=2e5, seed=8, specimen="texture")
    sparse = dataclasses.replace(thinned(other, 3), probe=rough)
    head("scans of 20 and of 60 frames with one probe, which starts 2 pixels off")
    row("20 frames alone", exitwave.reconstruct(sparse, **settings))
    shared = exitwave.reconstruct([scan, sparse], share="probe", **settings)
    row("20 frames, with a shared probe", shared[1])
    row("60 frames alone", exitwave.reconstruct(scan, **settings))
    row("60 frames, with a shared probe", shared[0])
    counts = np.random.default_rng(5).poisson([scan.patterns.expected(j) for j in range(60)]).astype(np.float32)
    again = dataclasses.replace(scan, patterns=Frames(counts))
    head("two scans of one object with half the dose each")
    row("one scan", exitwave.reconstruct(scan, **settings))
    row("both scans, shared object and probe", exitwave.reconstruct([scan, again], share="both", **settings)[0])


if __name__ == "__main__":
    main()
