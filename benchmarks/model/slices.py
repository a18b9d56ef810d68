"""Thick samples: separation of slices, refinement of their spacing, smoothing, and time of an iteration.

    python benchmarks/model/slices.py [separation] [spacing] [smoothing] [speed]

prints Markdown tables for simulated scans with two slices.
"""

import sys
import time
from dataclasses import replace

import numpy as np

import exitwave
from exitwave.engine.recipe import usual_stages
from exitwave.scan import Result, Scan

DETECTOR, FRAMES = 128, 150
ALGORITHMS = {
    "40 of mPIE": [{"algorithm": "mPIE", "iterations": 40}],
    "60 of Adam": [{"algorithm": "Adam", "iterations": 60}],
    "15 of mPIE, 120 of ML (default)": usual_stages(2),
}
"""Stages by name."""


def simulated(specimen: str, spacing: float | None = None, photons: float = 1e7) -> Scan:
    """Return a scan of two slices; without a spacing in metres they are one depth of focus apart."""
    return exitwave.simulate(
        detector=DETECTOR, frames=FRAMES, slices=2, slice_spacing=spacing, specimen=specimen, photons=photons
    )


def run(scan: Scan, spacing: float, **settings: object) -> Result:
    """Reconstruct two slices at a spacing in metres."""
    return exitwave.reconstruct(scan, slices=2, slice_spacing=spacing, threads=1, **settings)


def correlations(result: Result) -> tuple[float, float, float]:
    """Return the least correlation with the right slice, the largest with a wrong one, and that of the true slices.

    All are computed over the covered area.
    """
    found, true = exitwave.compare(result).slices, exitwave.compare(from_truth(result)).slices
    assert found is not None
    assert true is not None
    return float(np.diag(found).min()), float(max(found[0, 1], found[1, 0])), float(true[0, 1])


def from_truth(result: Result) -> Result:
    """Return the result with the true slices and probe, to continue from."""
    truth = result.scan.truth
    assert truth is not None
    return replace(result, object=truth.object, x=truth.x, y=truth.y, z=truth.z, probe=truth.probe)


def separation() -> None:
    """Print the separation of slices at spacings about one depth of focus, wavelength / aperture^2, by algorithm.

    The column "from the truth" is the correlation with the wrong slice after as many iterations from the truth: that of
    noise alone.
    """
    print(
        "| specimen | spacing | iterations | right slice | wrong slice | from the truth | true slices | error "
        "| held-out error |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    cases = [("particles", 0.5), ("particles", 1.0), ("texture", 1.0), ("texture", 2.0), ("cells", 1.0)]
    for specimen, factor in cases:
        focus = float(simulated(specimen).truth.z[1])
        scan = simulated(specimen, factor * focus)
        for name, stages in ALGORITHMS.items():
            result = run(scan, factor * focus, stages=stages)
            right, wrong, true = correlations(result)
            again = exitwave.reconstruct(from_truth(result), stages=stages, threads=1)
            distance = f"{factor:g} depth of focus ({factor * focus * 1e6:.1f} um)"
            print(
                f"| {specimen} | {distance} | {name} | {right:.3f} | {wrong:.3f} | {correlations(again)[1]:.3f} "
                f"| {true:.3f} | {result.errors[-1]:.3g} | {result.holdout_errors[-1]:.4g} |",
                flush=True,
            )


def spacing() -> None:
    """Print the refined spacing from a starting value that is 20 % too small or too large."""
    print("| specimen | start / truth | refined | end / truth | right slice | wrong slice | held-out error |")
    print("|---|---|---|---|---|---|---|")
    for specimen in ("particles", "texture"):
        scan = simulated(specimen)
        truth = float(scan.truth.z[1])
        for start in (0.8, 1.2):
            for refine in (False, True):
                result = run(scan, start * truth, spacing_update=refine)
                right, wrong, _ = correlations(result)
                print(
                    f"| {specimen} | {start} | {'yes' if refine else 'no'} | {result.z[1] / truth:.3f} | {right:.3f} "
                    f"| {wrong:.3f} | {result.holdout_errors[-1]:.3g} |",
                    flush=True,
                )


def smoothing() -> None:
    """Print the effect of slice smoothing for several strengths, with few and with many photons."""
    print("| photons in a frame | strength | right slice | wrong slice | held-out error |")
    print("|---|---|---|---|---|")
    for photons in (1e5, 1e7):
        scan = simulated("texture", photons=photons)
        for strength in (None, 0.02, 0.05, 0.1):
            settings = {} if strength is None else {"slice_smoothing": {"strength": strength}}
            result = run(scan, float(scan.truth.z[1]), algorithm="mPIE", **settings)
            right, wrong, _ = correlations(result)
            name = "off" if strength is None else strength
            print(f"| {photons:g} | {name} | {right:.3f} | {wrong:.3f} | {result.holdout_errors[-1]:.3g} |", flush=True)


def speed() -> None:
    """Print the time of an iteration with slices relative to that of a thin sample, best of three."""
    print("| slices | time of an iteration, thin sample = 1 | with spacing_update |")
    print("|---|---|---|")
    scan = simulated("particles")

    def seconds(**settings: object) -> float:
        *_, last = exitwave.iterate(scan, iterations=3, threads=1, holdout=0, **settings)
        return last.seconds["run"]

    for slices in (2, 4):
        best = np.full(3, np.inf)
        for _ in range(3):
            thick = {"slices": slices, "slice_spacing": float(scan.truth.z[1])}
            update = {"schedule": {"start": 0}}
            best = np.minimum(best, [seconds(), seconds(**thick), seconds(**thick, spacing_update=update)])
        print(f"| {slices} | {best[1] / best[0]:.2f} | {best[2] / best[0]:.2f} |", flush=True)


PARTS = {"separation": separation, "slice_spacing": spacing, "smoothing": smoothing, "speed": speed}

if __name__ == "__main__":
    for name in sys.argv[1:] or PARTS:
        start = time.perf_counter()
        print(f"\n### {name}\n")
        PARTS[name]()
        print(f"\n({time.perf_counter() - start:.0f} s)")
