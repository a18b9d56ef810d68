"""Kill verbs at random moments: every output is the complete old or the complete new file, and runs resume.

python benchmarks/kills.py --kills 300
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import numpy as np
from fork_server import Server, serving
from killing import COMMANDS, ITERATE, SIMULATE, Kills, digests, is_intact, is_page, make_folder

import exitwave

SHARES = {"simulate": 5, "prepare": 5, "convert": 5, "reconstruct": 5, "report": 3, "resume": 5, "batch": 2}
"""Parts of the kills for each kind: ``reconstruct`` is killed at steps of saving, ``resume`` while it iterates."""
ALGORITHMS = ("ePIE", "rPIE", "mPIE", "DM", "RAAR", "LSQML", "ML")
"""Algorithms whose runs are killed and resumed, if they exist."""
ITERATIONS = 40


@dataclass
class Row:
    """What was counted for one kind of kills."""

    kind: str
    kills: int = 0
    old: int = 0
    new: int = 0
    partials: int = 0
    resumed: int = 0
    seconds: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as place, serving() as server:
        folder = Path(place)
        server.run(SIMULATE, folder=folder)
        for kind, share in SHARES.items():
            number = max(1, round(options.kills * share / sum(SHARES.values())))
            begin = time.perf_counter()
            rows.append(_kill(kind, number, server, folder, options.seed))
            rows[-1].seconds = time.perf_counter() - begin
    _print(rows)


def _kill(kind: str, number: int, server: Server, folder: Path, seed: int) -> Row:
    own = make_folder(folder / "scan.cxi", folder / kind)
    if kind == "batch":
        return _kill_batches(number, own, seed)
    if kind == "resume":
        return _kill_and_resume(number, server, own, seed)
    kills = Kills(server, COMMANDS[kind], own, seed)
    for turn in range(number):
        kills.kill("step" if turn % 2 else "time")
    kills.finish()
    return Row(kind, number, kills.old, kills.new, kills.partials)


def _kill_and_resume(number: int, server: Server, folder: Path, seed: int) -> Row:
    """Kill runs while they iterate, resume them, and compare the objects with those of uninterrupted runs."""
    from exitwave.engine.algorithms.registry import ALGORITHMS as KNOWN

    row, moments = Row("resume"), random.Random(seed)
    algorithms = [name for name in KNOWN.all() if name.lower() in {each.lower() for each in ALGORITHMS}]
    wholes, before = {}, digests(folder)
    for turn in range(number):
        algorithm = algorithms[turn % len(algorithms)]
        settings = ("--algorithm", algorithm, *ITERATE[2:], "--iterations", str(ITERATIONS), "--checkpoint", "0.001")
        command = ("reconstruct", "scan.cxi", "-o", "new.cxi", *settings)
        if algorithm not in wholes:
            whole = server.run(command, folder=folder)
            assert whole.status == 0, whole.output
            wholes[algorithm] = whole.seconds, exitwave.open(folder / "new.cxi")
            (folder / "new.cxi").unlink()
        seconds, expected = wholes[algorithm]
        killed = server.run(command, folder=folder, kill_after=seconds * moments.uniform(0.3, 1.0))
        row.kills += 1
        row.old += killed.status == -signal.SIGKILL
        row.new += killed.status == 0
        row.partials += any(".partial-" in name for name in os.listdir(folder))
        if killed.status:
            resumed = server.run((*command, "--resume", "--overwrite"), folder=folder)
            assert resumed.status == 0, resumed.output
            row.resumed += "resuming after" in resumed.output
            found = exitwave.open(folder / "new.cxi")
            np.testing.assert_array_equal(found.object, expected.object, f"{algorithm}: the object differs")
            np.testing.assert_array_equal(found.probe, expected.probe, f"{algorithm}: the probe differs")
        assert is_intact(folder / "new.cxi")
        assert sorted(os.listdir(folder)) == ["new.cxi", "scan.cxi"]
        (folder / "new.cxi").unlink()
        assert digests(folder) == before
    return row


def _kill_batches(number: int, folder: Path, seed: int) -> Row:
    """Kill a batch with all of its workers; the same command then completes it."""
    row, moments = Row("batch"), random.Random(seed)
    shutil.copy(folder / "scan.cxi", folder / "other.cxi")
    before = digests(folder)
    options = ("--workers", "1", *ITERATE, "--iterations", "2")
    command = [sys.executable, "-m", "exitwave", "batch", "scan.cxi", "other.cxi", "-o", "out", *options]
    how = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    begin = time.perf_counter()
    assert subprocess.run(command, **how).returncode == 0
    seconds = time.perf_counter() - begin
    complete = sorted(os.listdir(folder / "out"))
    for _ in range(number):
        shutil.rmtree(folder / "out")
        process = subprocess.Popen(command, **how)
        try:
            process.wait(seconds * moments.uniform(0.2, 1.0))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        row.kills += 1
        for file in (folder / "out").glob("[!.]*"):
            if file.suffix in (".cxi", ".html"):
                assert (is_intact if file.suffix == ".cxi" else is_page)(file), f"{file.name} is not complete"
                row.new += 1
        row.partials += (
            any(".partial-" in name for name in os.listdir(folder / "out")) if (folder / "out").exists() else 0
        )
        assert subprocess.run(command, **how).returncode == 0
        assert sorted(os.listdir(folder / "out")) == complete
        assert digests(folder) == before
        row.resumed += 1
    return row


def _print(rows: list[Row]) -> None:
    print("| killed | kills | old output | new output | left a partial file | resumed or completed | seconds |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        counts = f"{row.kills} | {row.old} | {row.new} | {row.partials} | {row.resumed or ''}"
        print(f"| {row.kind} | {counts} | {row.seconds:.0f} |")


if __name__ == "__main__":
    main()
