"""Run verbs on many mutated files, and keep those that fail: python fuzz.py --cases 20000.

See `tests/fuzz_verbs.py`. A failed case is run again alone, and its file is written to the folder of ``--keep``.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import fuzz_verbs


def main() -> None:
    """Run the cases of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files that failed")
    options = parser.parse_args()
    begin, wrong = time.perf_counter(), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, words, what in fuzz_verbs.failures(options.cases, options.seed, folder, options.first):
            wrong += 1
            print(f"case {number} {words}\n{what}\n", flush=True)
            if options.keep:
                _keep(number, options.seed, folder, options.keep)
    cases = options.cases - options.first
    print(f"{cases} cases, {wrong} failed, {time.perf_counter() - begin:.0f} s")
    raise SystemExit(1 if wrong else 0)


def _keep(number: int, seed: int, folder: Path, keep: Path) -> None:
    """Write the mutated file of a case to a folder."""
    import numpy as np
    from mutations import mutate

    keep.mkdir(parents=True, exist_ok=True)
    good = [folder / "good" / name for name in ("scan.cxi", "result.cxi", "linked.cxi")]
    rng = np.random.default_rng([seed, number])
    sample = good[int(rng.integers(len(good)))]
    target = keep.resolve() / f"case_{seed}_{number}.cxi"
    before = os.getcwd()
    os.chdir(folder)
    try:
        shutil.copy(sample, target)
        mutate(rng, target)
    finally:
        os.chdir(before)


if __name__ == "__main__":
    main()
