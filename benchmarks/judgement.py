"""Whether the grades and the diagnoses of `exitwave reconstruct` agree with the true error of the object.

    python benchmarks/judgement.py [--write benchmarks/out/judgement.json] [--jobs 2] [--threads 1] [--only "A "]

- A: 40 scans with one fault each (faults.py), with random size and place.
- B: 40 clean scans over the ranges of the file schema.
- C: 40 scans of 1e7 to 1e9 photons in a frame with one or several imperfections of real scans.
- N: four named scans, with the command that the program proposes as the repair: one lost trigger, half the pixel size,
  20 identical frames, and the measured near-field scan of EXITWAVE_DATA without its source distance.

Every scan is reconstructed by the command line, from a file without the truth. The error of its clean twin (the same
draw without the fault) is measured in the same way and kept by ``--again``.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import faults
import numpy as np
from campaign import Draw, Row, Store, build, draw_words, measure, object_error, options
from common import announce, table

import exitwave
from exitwave.scan import Scan
from exitwave.simulation import SPECIMENS

SCANS = 40
"""Number of scans of a set."""
GRADES = {"good": "GOOD", "poor": "BAD", "unknown": "CHECK"}
"""Grades of earlier versions."""
GOOD_FAULTY, GOOD_REAL, BAD_REAL = 1.15, 1.5, 1.15
"""Errors relative to the clean twin: largest of GOOD in set A, largest of GOOD in set C, least of BAD in set C."""
NEAR_FIELD = "petra_p25_near_field.cxi"
TIMEOUT = 600.0
"""Seconds after which a reconstruction is stopped and counts as failed."""


def random_draw(rng: np.random.Generator, seed: int, low: float, high: float) -> Draw:
    """Return a small scan with 10**low to 10**high photons in a frame."""
    return Draw(
        seed=seed, photons=float(10 ** rng.uniform(low, high)), modes=int(rng.integers(1, 3)),
        specimen=list(SPECIMENS)[int(rng.integers(len(SPECIMENS)))], pattern=str(rng.choice(["fermat", "jitter"])),
        frames=int(rng.integers(100, 160)), defocus=None if rng.random() < 0.5 else rng.uniform(0.85, 1.15),
    )  # fmt: skip


def clean_draw(rng: np.random.Generator, seed: int) -> Draw:
    """Return a draw over the ranges of the schema, with 1e5 photons or more for every 64 x 64 pixels."""
    side = int(rng.choice([64, 64, 64, 96, 128, 192]))
    drawn = random_draw(rng, seed, 5 + np.log10((side / 64) ** 2), 9)
    return replace(
        drawn, side=side, columns=int(1.25 * side) if rng.random() < 0.2 else None, modes=int(rng.integers(1, 4)),
        pattern=str(rng.choice(["fermat", "jitter", "raster"])), overlap=rng.uniform(0.6, 0.85),
        energy=rng.uniform(6000, 12000),
    )  # fmt: skip


def tasks() -> dict[str, tuple[str, Any, Draw | None]]:
    """Return set, fault or imperfections, and draw of every scan by name."""
    found: dict[str, tuple[str, Any, Draw | None]] = {}
    kinds = list(faults.FAULTS)
    for i in range(SCANS):
        rng, fault = np.random.default_rng([20, i]), kinds[i % len(kinds)]
        draw = replace(random_draw(rng, 2000 + i, 5.3, 8.5), **faults.FAULTS[fault].draw)
        found[f"A {i:02} {fault}"] = ("A", fault, draw)
    for i in range(SCANS):
        draw = clean_draw(np.random.default_rng([21, i]), 3000 + i)
        found[f"B {i:02} {draw.side} px {draw.photons:.0e} {draw.pattern}"] = ("B", "", draw)
    for i in range(SCANS):
        rng = np.random.default_rng([22, i])
        count = int(rng.choice([1, 1, 2, 3]))
        names = tuple(str(name) for name in rng.choice(faults.IMPERFECTIONS, count, replace=False))
        found[f"C {i:02} {', '.join(names)}"] = ("C", names, random_draw(rng, 4000 + i, 7, 9))
    named = Draw(seed=50, photons=3e6, frames=160, defocus=1.1)
    for fault in ("lost trigger", "pixel size", "stuck detector"):
        found[f"N {fault}"] = ("N", fault, named)
    found["N near field"] = ("N", "near field", None)
    return found


def named_scan(fault: str, draw: Draw | None) -> Scan:
    """Return one of the four named scans."""
    if draw is None:
        folder = os.environ.get("EXITWAVE_DATA")
        if not folder:
            raise FileNotFoundError("EXITWAVE_DATA must name the folder of the measured scans")
        return exitwave.open(Path(folder) / NEAR_FIELD)
    scan = build(draw)
    if fault == "lost trigger":
        return faults.shift_frames(scan, 1, 50)
    if fault == "stuck detector":
        return faults.repeat_frame(scan, 70, 20)
    return faults.with_detector(scan, pixel_size=tuple(side / 2 for side in scan.detector.pixel_size))


def make_scan(kind: str, fault: Any, draw: Draw | None) -> Scan:
    """Return the scan of a task."""
    if kind == "N":
        return named_scan(fault, draw)
    assert draw is not None
    rng = np.random.default_rng([draw.seed, 1])
    if kind == "A":
        return faults.faulty_scan(fault, draw, rng)
    return faults.imperfect_scan(fault, draw, rng) if kind == "C" else build(draw)


def reconstruct(scan: Scan, threads: int, folder: Path, *more: str) -> tuple[Row, exitwave.Result | None]:
    """Reconstruct a scan by the command line; return what it says, and the result."""
    source, target = folder / "scan.cxi", folder / "result.cxi"
    replace(scan, truth=None).save(source, overwrite=True)
    command = [sys.executable, "-m", "exitwave", "reconstruct", str(source), "-o", str(target), "--json", "--overwrite"]
    begin = time.perf_counter()
    try:
        done = subprocess.run(
            [*command, "--threads", str(threads), *more], capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return {"grade": "NONE", "message": f"more than {TIMEOUT:g} s", "seconds": TIMEOUT}, None
    row: Row = {"seconds": time.perf_counter() - begin, "code": done.returncode}
    try:
        said = json.loads(done.stdout)
        said = said[0] if isinstance(said, list) else said
        verdict = said["verdict"]
    except (json.JSONDecodeError, KeyError, IndexError):
        return row | {"grade": "NONE", "message": (done.stderr.strip() or done.stdout.strip())[-600:]}, None
    row |= {
        "grade": GRADES.get(verdict["grade"], verdict["grade"]), "reasons": verdict.get("reasons"),
        "diagnoses": [[each["code"], each["level"]] for each in said["diagnoses"]],
        "remedies": [each["remedy"] for each in said["diagnoses"]], "stopped_by": said["stopped_by"],
        "chosen": [choice["name"] for choice in said["choices"]],
        "did": [f"{each['heading']}: {each['name']}, {each['why']}" for each in said["preparation"] + said["choices"]],
    }  # fmt: skip
    return row, exitwave.open(target)


def repair_command(remedies: Iterable[str]) -> list[str]:
    """Return the options of the first command in the remedies; of alternatives the first one."""
    for remedy in remedies:
        found = re.search(r"--set\s+\S+=\S+", remedy)
        if found:
            return shlex.split(found.group().rstrip(".,;:"))
    return []


def judge(kind: str, fault: Any, draw: Draw | None, threads: int) -> Row:
    """Reconstruct the scan of a task, and compute the error of its object."""
    scan = make_scan(kind, fault, draw)
    any_orientation = kind == "A" and faults.FAULTS[fault].any_orientation
    with tempfile.TemporaryDirectory() as name:
        row, result = reconstruct(scan, threads, Path(name))
        row["error"] = _error(result, scan, any_orientation)
        options = repair_command(row.get("remedies", ())) if kind == "N" else []
        if options:
            repaired, result = reconstruct(scan, threads, Path(name), *options)
            row["repair"] = repaired | {"options": options, "error": _error(result, scan, False)}
    return row | {"draw": None if draw is None else draw_words(draw)}


def judge_twin(fault: str, draw: Draw, threads: int) -> Row:
    """Reconstruct the clean twin of a scan."""
    scan = faults.clean_scan(fault, draw)
    with tempfile.TemporaryDirectory() as name:
        row, result = reconstruct(scan, threads, Path(name))
        return row | {"error": _error(result, scan, False)}


def _error(result: exitwave.Result | None, scan: Scan, any_orientation: bool) -> float | None:
    if result is None or scan.truth is None:
        return None
    return object_error(result, scan.truth, any_orientation=any_orientation)


def run(what: str, *task: Any) -> Row:
    """Judge a scan or its twin."""
    return judge(*task) if what == "scan" else judge_twin(*task)


def cause(row: Row) -> str:
    """Return the code of the diagnosis that is named first: warnings and errors before information."""
    codes = row.get("diagnoses", [])
    return next((code for code, level in codes if level != "info"), codes[0][0] if codes else "")


def is_named(row: Row, fault: str) -> bool:
    """Return whether the cause of the fault is named first; a refusal or a repair names it in its message."""
    known = faults.FAULTS[fault]
    if row["grade"] == "NONE":
        return bool(known.refusal and re.search(known.refusal, row["message"]))
    repaired = bool(known.repair) and any(re.search(known.repair, did) for did in row.get("did", []))
    return repaired or cause(row) in known.codes.split()


def ratio(row: Row, twin: Row | None) -> float:
    """Return the error relative to that of the clean twin; infinite where the image has no right grid."""
    if row["error"] is None or twin is None or twin["error"] is None:
        return float("inf")
    return row["error"] / twin["error"]


def show(store: Store, wanted: dict[str, tuple[str, Any, Draw | None]]) -> None:
    """Print the tables and the counts of the acceptance."""
    for kind in "ABCN":
        names = [name for name, task in wanted.items() if task[0] == kind and name in store.rows]
        if names:
            print(
                table(
                    ["scan", "grade", "first", "all", "error", "relative", "seconds"], [_cells(store, n) for n in names]
                )
            )
            print(_summary(store, kind, {name: wanted[name][1] for name in names}), "\n")


def _cells(store: Store, name: str) -> list[str]:
    row, twin = store.rows[name], store.rows.get(f"{name} clean")
    codes = " ".join(code + level[0] for code, level in row.get("diagnoses", []))
    error = "-" if row["error"] is None else f"{row['error']:.4f}"
    cells = [name, row["grade"], cause(row), codes or row.get("message", "")[:60].replace("\n", " ")]
    return [*cells, error, "" if twin is None else f"{ratio(row, twin):.2f}", f"{row['seconds']:.0f}"]


def _summary(store: Store, kind: str, names: dict[str, Any]) -> str:
    """Return the counts of one set."""
    rows = {name: store.rows[name] for name in names}
    ratios = {name: ratio(row, store.rows.get(f"{name} clean")) for name, row in rows.items()}
    good = [name for name, row in rows.items() if row["grade"] == "GOOD"]
    if kind == "B":
        errors = [name for name, row in rows.items() if any(level == "error" for _, level in row.get("diagnoses", []))]
        return f"\nB: {len(good)} of {len(rows)} GOOD; diagnosis of level error in {len(errors)}: {errors}"
    if kind == "C":
        wrong = [name for name in good if ratios[name] > GOOD_REAL]
        harsh = [name for name, row in rows.items() if row["grade"] == "BAD" and ratios[name] < BAD_REAL]
        return (
            f"\nC: GOOD above {GOOD_REAL:g} x clean: {len(wrong)} {wrong}; BAD below {BAD_REAL:g}: {len(harsh)} {harsh}"
        )
    if kind == "N":
        repairs = {name: row["repair"] for name, row in rows.items() if "repair" in row}
        said = [
            f"{name}: {' '.join(each['options'])}: {each['grade']}, relative error "
            f"{ratio(each, store.rows.get(f'{name} clean')):.2f}"
            for name, each in repairs.items()
        ]
        return "\n".join([f"\nN: {len(good)} of {len(rows)} GOOD", *said])
    wrong = [name for name in good if ratios[name] > GOOD_FAULTY]
    unnamed = [name for name, row in rows.items() if not is_named(row, names[name])]
    return (
        f"\nA: GOOD above {GOOD_FAULTY:g} x clean: {len(wrong)} {wrong}; cause named first in "
        f"{len(rows) - len(unnamed)} of {len(rows)}, not in {unnamed}"
    )


def main() -> None:
    parser = options(__doc__ or "", str(Path(__file__).parent / "out" / "judgement.json"))
    chosen = parser.parse_args()
    wanted = {name: task for name, task in tasks().items() if chosen.only in name}
    if chosen.smoke:
        wanted = dict(list(wanted.items())[:: max(1, len(wanted) // 2)][:2])
    store = Store(chosen.write)
    if chosen.again:
        for name in wanted:
            store.rows.pop(name, None)
    runs: dict[str, tuple[Any, ...]] = {}
    for name, (kind, fault, draw) in wanted.items():
        runs[name] = ("scan", kind, fault, draw, chosen.threads)
        if kind != "B" and draw is not None:
            runs[f"{name} clean"] = ("twin", fault if kind == "A" else "", draw, chosen.threads)
    announce(f"{sum(name not in store.rows for name in runs)} of {len(runs)} runs to do")
    measure(store, runs, run, chosen.jobs)
    show(store, wanted)


if __name__ == "__main__":
    main()
