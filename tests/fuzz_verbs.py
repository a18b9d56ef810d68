"""Run verbs on mutated files of the schema: every case must end with exit code 0, 1 or 2, in little time and memory.

A mutation flips bits, or changes entries, types, shapes, links and attributes (`mutations`). A file that has failed is
kept in the folder ``corpus``, and every file of it is run again by the tests.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "dialects")]

from mutations import mutate  # noqa: E402
from samples import small_result, small_scan, small_truth  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

import exitwave  # noqa: E402
from exitwave.cli import app  # noqa: E402

CORPUS = HERE / "corpus"
SECONDS, MEMORY = 20, 3 * 2**29
"""Longest time of a case in seconds, and its memory in bytes, in addition to that of the libraries."""
WORDS = (
    ("inspect", "case.cxi"),
    ("validate", "case.cxi"),
    ("convert", "case.cxi", "out.cxi", "--to", "seed", "--overwrite"),
    ("convert", "case.cxi", "out.npz", "--to", "npz", "--overwrite"),
    ("inspect", "case.cxi", "--json"),
    ("compare", "case.cxi"),
)
"""The verbs; every case runs two of them."""


def samples(folder: Path) -> list[Path]:
    """Write good files: a scan, and results with a truth and with a refined model, each with its frames."""
    folder.mkdir(parents=True, exist_ok=True)
    scan = small_scan(12, 16)
    scan = small_scan(12, 16, truth=small_truth(scan))
    scan.save(folder / "scan.cxi", overwrite=True)
    result = small_result(exitwave.open(folder / "scan.cxi"))  # type: ignore[arg-type]
    result.save(folder / "result.cxi", embed=True, overwrite=True)
    result.save(folder / "linked.cxi", overwrite=True)
    return [folder / "scan.cxi", folder / "result.cxi", folder / "linked.cxi"]


def run(words: tuple[str, ...]) -> str:
    """Run a verb in this process and in the current folder; return what is wrong with its end, or an empty string."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = CliRunner().invoke(app, list(words))
    if done.exit_code not in (0, 1, 2) or "Unexpected" in done.output:
        return f"{' '.join(words)}: exit code {done.exit_code}: {done.output[-600:]}"
    return ""


def case(number: int, seed: int, good: list[Path]) -> tuple[str, str]:
    """Run a case in the current folder; return its description, and what is wrong or an empty string."""
    rng = np.random.default_rng([seed, number])
    for file in good:
        shutil.copy(file, file.name)
    sample = good[int(rng.integers(len(good)))]
    shutil.copy(sample, "case.cxi")
    words = f"{sample.name}: {mutate(rng, Path('case.cxi'))}"
    chosen = rng.choice(len(WORDS), 2, replace=False)
    return words, "\n".join(filter(None, (run(WORDS[index]) for index in chosen)))


def child(start: int, stop: int, seed: int, folder: Path) -> None:
    """Run cases, each under an alarm; print a line of JSON before and after each."""
    good = [folder / "good" / name for name in ("scan.cxi", "result.cxi", "linked.cxi")]
    os.chdir(folder)
    for words in WORDS:  # load lazy imports before the limit
        shutil.copy(good[1], "case.cxi")
        run(words)
    size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    for number in range(start, stop):
        sys.__stdout__.write(json.dumps({"begins": number}) + "\n")  # type: ignore[union-attr]
        sys.__stdout__.flush()  # type: ignore[union-attr]
        signal.alarm(SECONDS)
        words, wrong = case(number, seed, good)
        signal.alarm(0)
        sys.__stdout__.write(json.dumps({"ends": number, "words": words, "wrong": wrong}) + "\n")  # type: ignore[union-attr]
        sys.__stdout__.flush()  # type: ignore[union-attr]


def failures(cases: int, seed: int, folder: Path, first: int = 0, batch: int = 500) -> Iterator[tuple[int, str, str]]:
    """Yield number, description and failure of each case that failed; ``folder`` then has it as ``case.cxi``."""
    samples(folder / "good")
    start = first
    while start < cases:
        stop = min(start + batch, cases)
        arguments = [sys.executable, __file__, str(start), str(stop), str(seed), str(folder)]
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1", "COLUMNS": "200"}
        done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')]
        yield from ((line["ends"], line["words"], line["wrong"]) for line in lines if line.get("wrong"))
        if not done.returncode:
            start = stop
            continue
        died = lines[-1].get("begins") if lines else None
        if died is None:
            raise RuntimeError(f"A child failed outside of a case: {done.stderr[-3000:]}")
        how = f"hung for {SECONDS} s" if done.returncode == -signal.SIGALRM else f"died with {done.returncode}"
        yield died, "", f"{how}: {done.stderr[-3000:]}"
        start = died + 1


if __name__ == "__main__":
    child(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
