"""Near field: the measured scan of PETRA III P25 with each algorithm, and a simulated one against its truth.

``python benchmarks/model/near_field.py`` prints a Markdown table. EXITWAVE_DATA names the folder of the measured scan.
"""

import os
from pathlib import Path

import exitwave
from exitwave.analysis.error import recompute

FOLDER = Path(os.environ.get("EXITWAVE_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
ALGORITHMS = ("mPIE", "rPIE", "ePIE", "LSQ-ML", "ML", "Adam", "PIE", "DM", "RAAR")


def main() -> None:
    """Print the table."""
    measured = exitwave.open(FOLDER / "petra_p25_near_field.cxi")
    simulated = exitwave.simulate("near-field", photons=1e7)
    print("| scan | algorithm | error | held out / used | recomputed / stored | error of the object |")
    print("|---|---|---|---|---|---|")
    for algorithm in ALGORITHMS:
        settings = {"algorithm": algorithm, "probe": "auto", "threads": 1}
        result = exitwave.reconstruct(measured, geometry="near", source_distance=3.65e-3, **settings)
        _row("P25", result, algorithm, "")
        result = exitwave.reconstruct(simulated, **settings)
        _row("simulated", result, algorithm, f"{exitwave.compare(result).error:.3f}")


def _row(name: str, result: exitwave.Result, algorithm: str, against_truth: str) -> None:
    error, held_out = result.errors[-1], result.holdout_errors[-1]
    same = recompute(result) / error
    print(f"| {name} | {algorithm} | {error:.5f} | {held_out / error:.2f} | {same:.5f} | {against_truth} |", flush=True)


if __name__ == "__main__":
    main()
