"""Mutated files of every dialect: each is read, or refused with a message; there is no other outcome.

``python tests/dialects/fuzz.py --cases 10000`` runs the cases in child processes with limited memory. A child that dies
or hangs is reported with its case, and the next child continues with the next case.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import beamline_files  # noqa: E402
from mutations import mutate  # noqa: E402
from samples import small_result, small_scan  # noqa: E402

import exitwave  # noqa: E402
from exitwave.dialects.detect import check  # noqa: E402
from exitwave.dialects.registry import DIALECTS  # noqa: E402
from exitwave.errors import ExitwaveError  # noqa: E402
from exitwave.scan import Result  # noqa: E402

SECONDS = 10
"""Longest time of a case in seconds."""
MEMORY = 2**30
"""Memory in bytes of a child process, in addition to that of its libraries."""


@dataclass(frozen=True)
class Sample:
    """A good file of a dialect, in its own folder."""

    dialect: str
    file: Path
    settings: dict[str, str] = field(default_factory=dict)


def samples(folder: Path) -> list[Sample]:
    """Write a scan and a result in every dialect that can be written, and hand-made files of the others."""
    made = []
    scan = small_scan(8, 16, left_out={"the beam was off": (1,)})
    scan = replace(scan, detector=replace(scan.detector, pixel_size=(75e-6, 75e-6)))  # PyNX has only square pixels
    for name, each in DIALECTS.all().items():
        for kind, data in (("scan", scan), ("result", small_result(scan))) if each.read and each.write else ():
            target = _new(folder / f"{name}_{kind}") / f"{kind}{each.suffix}"
            assert each.write is not None
            made.append(Sample(name, next(iter(each.write(data, target, False).files))))
    rng = np.random.default_rng(2)
    waves = (rng.normal(size=(*beamline_files.SHAPE, 2)) @ [1, 1j], rng.normal(size=(30, 40)) + 1j)
    beamline_files.text(_new(folder / "eiger") / "scan.csv", beamline_files.POSITIONS)
    return [
        *made,
        Sample("eiger", beamline_files.eiger(folder / "eiger", links=4), {"positions": "um"}),
        Sample("velociprobe", beamline_files.velociprobe(_new(folder / "velociprobe"))),
        Sample("lynx", beamline_files.lynx(_new(folder / "lynx")), {"distance": "2m"}),
        Sample("hxn", beamline_files.hxn(_new(folder / "hxn"))),
        Sample("hxn", beamline_files.hxn_matlab(_new(folder / "hxn_matlab"), *waves)),
        Sample("foldslice", beamline_files.foldslice(_new(folder / "foldslice")), {"pixel_size": "75um"}),
        Sample("map", beamline_files.mapped(_new(folder / "map"))),
    ]


def _new(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def use(sample: Sample, file: Path) -> str:
    """Read and check a file; return the traceback of a failure, or an empty string."""
    for name in (sample.dialect, "auto"):
        try:
            data = exitwave.open(file, dialect=name, **sample.settings)
            scan = data.scan if isinstance(data, Result) else data
            for index in (0, slice(1, 3)):
                assert np.asarray(scan.patterns[index]).shape[-2:] == scan.patterns.shape[1:]
        except ExitwaveError as error:
            if raised_by_exitwave(error):
                return traceback.format_exc()
        except Exception:
            return traceback.format_exc()
    checks = [each for each in DIALECTS.all().values() if each.check]
    profile = next(
        (each for each in checks if each.name == sample.dialect), checks[len(sample.file.name) % len(checks)]
    )
    try:
        check(profile, file)
    except ExitwaveError as error:
        if raised_by_exitwave(error):
            return f"check of {profile.name}: {traceback.format_exc()}"
    except Exception:
        return f"check of {profile.name}: {traceback.format_exc()}"
    return ""


def raised_by_exitwave(error: ExitwaveError) -> bool:
    """Return whether the cause of "The file is damaged" was raised in our code, not in a library: an error of ours."""
    cause = error.__cause__
    if error.what != "The file is damaged" or not isinstance(cause, TypeError | KeyError | IndexError | AttributeError):
        return False
    place = traceback.extract_tb(cause.__traceback__)[-1].filename
    return "exitwave" in Path(place).parts


def case(number: int, seed: int, good: list[Sample], folder: Path) -> tuple[str, str]:
    """Run a case; return its description, and the failure or an empty string."""
    rng = np.random.default_rng([seed, number])
    sample = good[int(rng.integers(len(good)))]
    copy = folder / "case"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(sample.file.parent, copy)
    files = sorted(copy.iterdir())
    chosen = files[int(rng.integers(len(files)))]
    words = f"{sample.dialect} {sample.file.parent.name}/{chosen.name}: {mutate(rng, chosen)}"
    return words, use(sample, copy / sample.file.name)


def child(start: int, stop: int, seed: int, folder: Path) -> None:
    """Run cases, each under an alarm; print a line of JSON before and after each."""
    stored = json.loads((folder / "samples.json").read_text())
    good = [Sample(each["dialect"], Path(each["file"]), each["settings"]) for each in stored]
    use(good[0], good[0].file)  # load lazy imports before the limit
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    for number in range(start, stop):
        print(json.dumps({"begins": number}), flush=True)
        signal.alarm(SECONDS)
        words, wrong = case(number, seed, good, folder)
        signal.alarm(0)
        print(json.dumps({"ends": number, "words": words, "wrong": wrong}), flush=True)


def failures(cases: int, seed: int, folder: Path, batch: int = 500) -> Iterator[tuple[int, str, str]]:
    """Yield number, description and failure of each case that failed."""
    words = json.dumps([asdict(sample) for sample in samples(folder / "good")], default=str)
    (folder / "samples.json").write_text(words)
    start = 0
    while start < cases:
        stop = min(start + batch, cases)
        arguments = [sys.executable, __file__, "--child", str(start), str(stop), str(seed), str(folder)]
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}
        done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
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


def main() -> None:
    """Run the cases of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        start, stop, seed, folder = options.child
        child(int(start), int(stop), int(seed), Path(folder))
        return
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, words, what in failures(options.cases, options.seed, Path(folder)):
            wrong += 1
            print(f"case {number} {words}\n{what}\n", flush=True)
    print(f"{options.cases} cases, {wrong} failed")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
