"""Speed, time to quality and memory of Exitwave, beside other programs and the Fourier transforms alone: `make bench`.

    python run.py [throughput] [quality] [memory] [--quick]

All parts where none is named. All programs get the same frames, positions, starting probe and threads. Writes
results.md and results.png beside this file; --quick (a test of the scripts) writes into benchmarks/out/quick. The
measurements are kept in benchmarks/out, so that parts measured one by one are in one report. Each peer is installed
into its own environment, unless EXITWAVE_PTYCHI_PYTHON or EXITWAVE_PTYLAB_PYTHON names a Python that has it.
EXITWAVE_DATA names the folder of the measured scan.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import peer
import report
from common import FULL, OUT, QUICK, Effort, Pythons, announce


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="*", help=f"what to measure: {', '.join(report.PARTS)}; all where none is named")
    parser.add_argument(
        "--quick", action="store_true", help="a short run of all parts; writes into benchmarks/out/quick"
    )
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.part) - set(report.PARTS))
    if unknown:
        parser.error(f"unknown part: {', '.join(unknown)}; use {', '.join(report.PARTS)}")
    effort, kept, folder = (QUICK, OUT / "quick", OUT / "quick") if arguments.quick else (FULL, OUT, peer.HERE)
    kept.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    pythons, lacking = _peers()
    for name in arguments.part or report.PARTS:
        _measure(name, effort, pythons, lacking, kept)
        text = _report(kept, folder)
    print(text)
    announce(f"{time.perf_counter() - start:.0f} s in total; written: {folder / 'results.md'} and results.png")
    return 0


def _peers() -> tuple[Pythons, list[str]]:
    """Return the Pythons of the peers that can run, and the reasons why the others cannot."""
    pythons, lacking = {}, []
    for program in peer.PEERS:
        try:
            pythons[program] = peer.interpreter(program)
        except peer.PeerMissingError as error:
            lacking.append(f"**{program.name} was not measured: its environment cannot be made here ({error}).**")
            announce(lacking[-1])
    return pythons, lacking


def _measure(name: str, effort: Effort, pythons: Pythons, lacking: list[str], kept: Path) -> None:
    """Measure one part and save the measurement."""
    load, start = os.getloadavg()[0], time.perf_counter()
    found = report.PARTS[name].measure(effort, pythons)
    found |= {"machine": report.machine(load, found.get("versions", {})), "lacking": lacking}
    (kept / f"{name}.json").write_text(json.dumps(found), encoding="utf-8")
    announce(f"{name}: {time.perf_counter() - start:.0f} s")


def _report(kept: Path, folder: Path) -> str:
    """Write the report of all measured parts, and return its text."""
    files = {name: kept / f"{name}.json" for name in report.PARTS}
    measured = {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items() if file.exists()}
    text = report.markdown(measured)
    (folder / "results.md").write_text(text, encoding="utf-8")
    report.figure(measured, folder / "results.png")
    return text


if __name__ == "__main__":
    sys.exit(main())
