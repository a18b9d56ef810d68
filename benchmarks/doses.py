"""The default run beside its own best iteration and the best informed run, over doses, specimens, modes and positions.

    python benchmarks/doses.py [--write benchmarks/out/doses.json] [--jobs 2] [--threads 1] [--only cells] [--again]

24 simulated scans: 1e4 to 1e9 photons in a frame, three specimens, 1 to 3 modes, positions exact and off by 0.8 pixels,
64 x 64 to 128 x 128 pixels, 120 to 200 frames. The starting probe has a defocus that is wrong by 15 %. The error of the
object against the truth is computed after every iteration.

- final: error of the default run (`exitwave.choose` and `exitwave.iterate`) at its end; least: at its best iteration.
- informed: least error at any iteration of a run with the true positions and the true probe, which stay fixed: mPIE,
  then maximum likelihood with the Poisson model. It does not depend on what is chosen, so ``--again`` keeps it.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from campaign import Draw, Row, Store, build, draw_words, measure, object_error, on_grid_of, options
from common import table

import exitwave
from exitwave.analysis.ambiguities import remove_ramp
from exitwave.analysis.compare import EROSION
from exitwave.analysis.rectangles import largest_rectangle
from exitwave.analysis.registration import Alignment, register
from exitwave.engine.recipe import make_recipe
from exitwave.scan import Result, Scan, Truth

DOSES = (1e4, 1e5, 1e6, 1e7, 1e8, 1e9)
SPECIMENS = ("cells", "star", "texture")
FIXED = {"probe_update": {"enabled": False}}
INFORMED: dict[str, Any] = {
    "stages": [
        {"iterations": 60, **FIXED},
        {"algorithm": "ML", "noise": "Poisson", "iterations": 120, **FIXED},
    ]
}
"""Settings of the informed run."""
RIM = 5
"""Pixels at the rim of the compared rectangle that do not count."""
LARGEST_RATIO = {"least": 1.02, "informed": 1.10}
"""Largest acceptable ratio of the final error to each reference."""


def draws() -> dict[str, Draw]:
    """Return the 24 scans by name."""
    found = {}
    for i, dose in enumerate(DOSES):
        for k in range(4):
            specimen, modes = SPECIMENS[(i + k) % 3], 1 + (i + 2 * k) % 3
            draw = Draw(
                seed=100 + 4 * i + k, photons=dose, modes=modes, specimen=specimen, defocus=1.15,
                pattern=("fermat", "jitter", "raster")[(i + k) % 3], side=(64, 96, 64, 128)[(k + i) % 4],
                frames=120 + 20 * ((i + 3 * k) % 5), position_error=0.8 * (k % 2),
            )  # fmt: skip
            found[f"{dose:.0e} {specimen} {modes} {'off' if k % 2 else 'exact'} {draw.seed}"] = draw
    return found


class TruthScorer:
    """Computes the error of the object against the truth quickly, after every iteration of one run.

    Scale, ramp and shift are fitted again in every evaluation (`register`), over the largest rectangle that is covered
    without a rim of `RIM` pixels, which a shift may bring in; from those of the evaluation before. The reference is
    flattened once.
    """

    def __init__(self, result: Result, truth: Truth) -> None:
        truth = on_grid_of(result, truth)
        step = np.array(result.object_pixel)
        offset = (np.array([result.y[0], result.x[0]]) - [truth.y[0], truth.x[0]]) / step
        whole = np.rint(offset).astype(int)
        first, second = zip(
            *(
                (slice(max(0, -o), min(n, m - o)), slice(max(0, o), min(n + o, m)))
                for o, n, m in zip(whole, result.mask.shape, truth.object.shape, strict=True)
            ),
            strict=True,
        )
        rows, columns = largest_rectangle(result.mask[first] > 0.5)
        inner = tuple(slice(side.start + EROSION, side.stop - EROSION) for side in (rows, columns))
        self._first, self._inner = first, inner
        self._reference = remove_ramp(truth.object[second][inner])[0]
        self._alignment: Alignment | None = None
        self._weights = np.zeros(self._reference.shape)
        self._weights[RIM:-RIM, RIM:-RIM] = 1
        within = self._reference[RIM:-RIM, RIM:-RIM]
        self._contrast = float(np.linalg.norm(within - within.mean()))

    def error(self, result: Result) -> float:
        """Return ||a - b|| / ||b - mean b|| after alignment."""
        moving = result.object[self._first][self._inner]
        self._alignment = register(moving, self._reference, self._weights, start=self._alignment)
        difference = self._alignment.apply(moving) - self._reference
        return float(np.linalg.norm(self._weights * difference)) / self._contrast


def follow(progress: Iterator[Any], truth: Truth) -> tuple[list[float], Result, float]:
    """Return the error after every iteration, the last result, and the seconds of the iterations alone."""
    errors, scorer, seconds, begin = [], None, 0.0, time.perf_counter()
    result = None
    for step in progress:
        seconds += time.perf_counter() - begin
        result = step.result()
        scorer = scorer or TruthScorer(result, truth)
        errors.append(scorer.error(result))
        begin = time.perf_counter()
    assert result is not None
    return errors, result, seconds


def default_run(draw: Draw, threads: int) -> Row:
    """Measure the default run of a scan."""
    scan = build(draw)
    given = replace(scan, truth=None)
    begin = time.perf_counter()
    found = exitwave.choose(given, threads=threads)
    choosing = time.perf_counter() - begin
    assert scan.truth is not None
    steps = exitwave.iterate(found.scan, found.recipe, choices=found.choices)
    errors, result, iterating = follow(steps, scan.truth)
    return {
        "draw": draw_words(draw), "final": errors[-1], "least": min(errors), "errors": errors,
        "compare": object_error(result, scan.truth), "iterations": len(errors),
        "stopped_by": result.provenance.get("stopped_by", ""), "algorithm": result.algorithm,
        "choosing": choosing, "iterating": iterating,
    }  # fmt: skip


def informed_run(draw: Draw, threads: int) -> Row:
    """Measure the best informed run of a scan."""
    scan = build(draw)
    assert scan.truth is not None
    known: Scan = replace(scan, positions=scan.truth.positions, probe=scan.truth.probe, truth=None)
    errors, _, _ = follow(exitwave.iterate(known, make_recipe({**INFORMED, "threads": threads})), scan.truth)
    return {"least": min(errors), "at": int(np.argmin(errors)) + 1, "errors": errors}


def run(kind: str, draw: Draw, threads: int) -> Row:
    """Measure the default or the informed run of a scan."""
    return default_run(draw, threads) if kind == "default" else informed_run(draw, threads)


def show(store: Store, names: list[str]) -> None:
    """Print the table and how many scans meet the demands."""
    rows, ratios = [], {"least": [], "informed": []}
    for name in names:
        own, best = store.rows.get(f"{name} default"), store.rows.get(f"{name} informed")
        if own is None or best is None:
            continue
        references = {"least": own["least"], "informed": best["least"]}
        for which, error in references.items():
            ratios[which].append(own["final"] / error)
        marks = [f"{ratios[which][-1]:.3f}" + "*" * (ratios[which][-1] > LARGEST_RATIO[which]) for which in references]
        at = int(np.argmin(own["errors"])) + 1
        rows.append(
            [name, f"{own['final']:.4f}", f"{own['least']:.4f} ({at})", marks[0], f"{best['least']:.4f}", marks[1],
             f"{own['iterations']}", own["stopped_by"], f"{own['choosing']:.1f}", f"{own['iterating']:.1f}"]
        )  # fmt: skip
    head = ["scan", "final", "least (iteration)", "ratio", "informed", "ratio", "iterations", "stopped by"]
    print(table([*head, "choosing (s)", "iterating (s)"], rows))
    for which, largest in LARGEST_RATIO.items():
        met = sum(ratio <= largest for ratio in ratios[which])
        print(f"\nfinal <= {largest:g} {which}: {met} of {len(rows)}")


def main() -> None:
    parser = options(__doc__ or "", str(Path(__file__).parent / "out" / "doses.json"))
    chosen = parser.parse_args()
    wanted = {name: draw for name, draw in draws().items() if chosen.only in name}
    if chosen.smoke:
        wanted = dict(list(wanted.items())[:: max(1, len(wanted) // 2)][:2])
    store = Store(chosen.write)
    if chosen.again:
        for name in wanted:
            store.rows.pop(f"{name} default", None)
    kinds = ("default", "informed")
    tasks = {f"{name} {kind}": (kind, draw, chosen.threads) for name, draw in wanted.items() for kind in kinds}
    measure(store, tasks, run, chosen.jobs)
    show(store, list(wanted))


if __name__ == "__main__":
    main()
