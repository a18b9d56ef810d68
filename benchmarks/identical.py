"""Compare two versions of Exitwave bit by bit: all algorithms, refinements and constraints on small simulated scans.

    python benchmarks/identical.py --write results.json      # with one version
    python benchmarks/identical.py --compare results.json    # with the other; exit code 1 if a result differs

Select the version with PYTHONPATH=CHECKOUT/src. Do both runs on the same machine with the same packages. For each case
the SHA-256 of every array of the result is compared. --only TEXT runs the cases whose name contains it. A run takes
two to four minutes on two cores, and a few minutes more where the loops must be compiled first.

The cases use names of settings that both versions know; keys of `Result.model` are mapped to their current names. What
one version refuses (InputError) the other must refuse too. FFTW transforms frames of 140 x 140. Its plans depend on
measured times, so both versions need the same wisdom file (~/.cache/exitwave/fftw-wisdom), which the first run writes.
"""

import argparse
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import exitwave
from exitwave.errors import InputError

ALGORITHMS = ("rPIE", "ePIE", "LSQ-ML", "ML", "Adam", "PIE", "mPIE", "DM", "RAAR")
SCANS: dict[str, dict[str, Any]] = {
    "plain": {"frames": 49}, "modes": {"frames": 49, "modes": 2}, "140": {"frames": 36, "detector": 140},
    "wide": {"frames": 25, "detector": 256}, "raster": {"frames": 49, "scan": "raster"},
    "thick": {"frames": 36, "slices": 2}, "fly": {"frames": 36, "fly": 0.3, "scan": "raster"},
    "near": {"frames": 25, "preset": "near-field"}, "background": {"frames": 49, "background": 3.0},
    "soft": {"frames": 36, "preset": "2-ID-D", "specimen": "star", "scan": "jitter"},
    "shifted": {"frames": 64, "position_error": 40e-9, "affine": [[1.01, 0.004], [-0.004, 0.99]], "photons": 1e7},
    "beam": {"frames": 49, "probe_drift": 0.2, "beam_fluctuation": 0.1, "pointing": 0.5, "centre": (1, -0.5)},
    "faulty": {"frames": 36, "dark": 2.0, "flat": 0.1, "blur": 0.7, "bad_pixels": 0.01, "saturation": 2e3},
}  # fmt: skip
"""Arguments of `exitwave.simulate` for every scan. `make_scan` derives more scans from these."""

SOON = {"schedule": {"start": 1}}
PER_FRAME = {"scale_update": SOON, "variation_update": {"number": 2, **SOON}, "tilt_update": SOON}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("plain", {}), "modes": ("plain", {"modes": 3}), "140 pixels": ("140", {}),
    "coarse": ("modes", {"coarse": 2}), "slices": ("thick", {"slices": 2}),
    "fly scan": ("fly", {"fly": {"exposures": 3}, "modes": 2}),
    "near field": ("near", {}), "monitor": ("monitor", {}), "positions": ("shifted", {"position_update": True}),
    "detector": ("faulty", {"detector": {"background": "dark", "saturated": "cap", "blur": 0.7}}),
    "oversample": ("plain", {"detector": {"oversample": 2, "background": 0.1}, "modes": 2}),
    "per frame": ("beam", PER_FRAME),
    "all pixels": ("background", {"background_update": SOON, "distance_update": SOON, "scale_update": True}),
    "constraints": ("plain", {
        "object_constraints": {"amplitude": [0, 1.1], "phase": [-2, 2]},
        "probe_constraints": {"fourier_support": "pattern", "support": 0.9, "power": True}}),
    "fixed object": ("beam", {"object_update": {"enabled": False}, "modes": 2}),
    "fixed probe": ("plain", {"probe_update": {"enabled": False}}),
}  # fmt: skip
"""Scan and settings that every algorithm is run with."""
TWO_THREADS = ("plain", "modes", "140 pixels", "slices", "detector", "positions", "per frame")
"""The variants that are run with two threads too. Those of some algorithms are run on torch's CPU device as well."""

SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"{name}, {kind} batches": ("plain", {"algorithm": name, "batching": kind, "batch": 10, "modes": 2})
       for name in ("rPIE", "LSQ-ML", "Adam", "PIE", "mPIE") for kind in ("random", "compact", "sparse")},
    **{f"{name}, {noise} noise, {scan}": (scan, {"algorithm": name, "noise": noise, "modes": 2})
       for name in ("ML", "Adam") for noise in ("amplitude", "intensity", "Poisson") for scan in ("modes", "near")},
    **{f"Poisson noise, {scan}": (scan, {"algorithm": "ML", "noise": "Poisson", **more}) for scan, more in (
        ("faulty", {"detector": {"background": "dark", "flat": True}}),
        ("thick", {"slices": 2}), ("shifted", {"position_update": True}))},
    **{f"{name}, decay {part}": ("plain", {"algorithm": name, "settle": part})
       for name in ("rPIE", "ePIE", "LSQ-ML", "PIE", "mPIE", "DM", "RAAR") for part in (0, 0.8)},
    **{f"{name}, relaxation": ("plain", {"algorithm": name, "relaxation": 0.7}) for name in ("DM", "RAAR")},
    **{f"{name}, steps and schedules": ("plain", {
        "algorithm": name, "object_update": {"step": 0.7, "alpha": 0.3},
        "probe_update": {"step": 0.5, "alpha": 0.8, "schedule": {"start": 1, "stop": 5, "every": 2}}})
       for name in ALGORITHMS},
    **{f"positions, {name}": (scan, {"position_update": values, **more}) for name, scan, values, more in (
        ("affine", "shifted", {"affine": {}, **SOON}, {}),
        ("rotation", "shifted", {"affine": {"scale": False, "asymmetry": False, "shear": False, "pull": 1}}, {}),
        ("no momentum", "shifted", {"momentum": 0, "step": 2, "search": False}, {}),
        ("short steps", "shifted", {"largest": 0.3}, {}), ("search", "lost", SOON, {"iterations": 12}),
        ("slices", "thick", SOON, {"slices": 2}), ("near field", "near", SOON, {}),
        ("fly scan", "fly", SOON, {"fly": {"exposures": 3, "duty": 0.9}}),
        ("and distance", "shifted", {"affine": {}}, {"distance_update": SOON}))},
    "fly scan, motion": ("fly", {"fly": {"exposures": 4, "motion": [3e-7, 0]}, "scale_update": True}),
    "distance": ("plain", {"distance_update": {"step": 1, "momentum": 0.5, **SOON}}),
    "intensity of frames": ("monitor", {"scale_update": {"step": 0.9}}),
    "OPR": ("beam", {"variation_update": {"number": 3, "step": 0.8}, "modes": 2}),
    "OPR, sparse batches": ("beam", {"variation_update": True, "algorithm": "LSQ-ML", "batching": "sparse"}),
    "pointing": ("beam", {"tilt_update": {"step": 0.8, **SOON}}),
    "spacing of slices": ("thick", {"slices": 2, "spacing_update": {"step": 0.02, **SOON}}),
    "smoothing of slices": ("thick", {"slices": 3, "slice_spacing": 6e-5, "slice_smoothing": {"strength": 1}}),
    **{f"background, {form} {smooth}": ("background", {"background_update": {"form": form, "smooth": smooth}})
       for form, smooth in (("pixels", 0), ("pixels", 4), ("radial", 4), ("scalar", 4))},
    **{f"object constraints {values}": (scan, {"object_constraints": values}) for scan, values in (
        ("plain", {"amplitude": [0.5, 1]}), ("plain", {"phase": [-1, 0.5]}), ("plain", {"phase_only": True}),
        ("plain", {"total_variation": 0.05}), ("soft", {"smoothness": 0.2}), ("raster", {"grid_artefact": True}))},
    **{f"probe constraints {values}": ("soft", {"probe_constraints": values, "modes": 2}) for values in (
        {"support": 0.6}, {"support": "shrink-wrap"}, {"fourier_support": 0.8}, {"fourier_support": "pattern", **SOON},
        {"power": True}, {"centre": "whole"}, {"centre": "subpixel"}, {"ramp": True})},
    "detector, flat field": ("faulty", {"detector": {"flat": True, "blur": 1.2, "oversample": 3}}),
    "detector, excluded pixels": ("faulty", {"detector": {"flat": False, "background": 1.5}, "tilt_update": True}),
    "detector, dark and background": ("faulty", {"detector": {"background": "dark"}, "background_update": True}),
    "coarse stages": ("wide", {"stages": [
        {"algorithm": "rPIE", "coarse": 4, "iterations": 4, **PER_FRAME, "position_update": SOON},
        {"algorithm": "LSQ-ML", "coarse": 2, "iterations": 4, "background_update": True, "scale_update": True},
        {"algorithm": "ML", "iterations": 4, "noise": "Poisson", "position_update": SOON}]}),
    "stages of all algorithms": ("modes", {"stages": [{"algorithm": name, "iterations": 2} for name in ALGORITHMS]}),
    "default of a thick sample": ("thick", {"slices": 2, "stages": [
        {"iterations": 4}, {"algorithm": "ML", "noise": "Poisson", "iterations": 4}]}),
    "patience": ("plain", {"iterations": 30, "patience": 2, "batch": 5}),
    "other seed": ("soft", {"seed": 7, "modes": 2}), "probe from the data": ("soft", {"probe": "auto", "holdout": 0}),
    "frames left out": ("left out", {}), "probe from images": ("near", {"probe": "auto", "position_update": True}),
}  # fmt: skip
"""Scan and settings of further cases; the algorithm is mPIE where no other is given."""

STAGES = [{"algorithm": name, "iterations": 2} for name in ALGORITHMS if name != "ePIE"]
MORE = [{"iterations": 4, **PER_FRAME, "position_update": SOON}]
PROCESSES: dict[str, tuple[str, dict[str, Any]]] = {
    "whole object": ("modes", {"stages": [*STAGES, *MORE, {"coarse": 2, "iterations": 2}], "tiles": "no"}),
    "tiles": ("modes", {"stages": [*STAGES, *MORE], "tiles": "yes"}),
    "slices": ("thick", {"slices": 2, "algorithm": "ML", "noise": "Poisson", "iterations": 4, "tiles": "no"}),
    "tiles, torch-cpu": ("plain", {"stages": [STAGES[2], *MORE], "tiles": "yes", "device": "torch-cpu"}),
}
"""Scan and settings of the cases in two processes."""
KEYS = {"scales": "probe_factors", "variations": "opr_modes", "weights": "opr_weights", "tilts": "pointing"}
"""Current names of former keys of `Result.model`."""
ARRAYS = ("object", "probe", "positions", "errors", "holdout_errors", "held_out", "mask", "x", "y", "z")
Digests = dict[str, str]


@cache
def make_scan(name: str) -> Any:
    """Return a simulated scan by its name in `SCANS`, or one that is derived from it."""
    if name == "lost":
        away = np.isin(np.arange(49), (5, 20))[:, None] * [5e-7, 0, 0]
        return replace(make_scan("plain"), positions=make_scan("plain").positions + away)
    if name == "monitor":
        return replace(make_scan("plain"), monitor=1 + 0.2 * np.sin(np.arange(49.0)))
    if name == "left out":
        return replace(make_scan("plain"), left_out={"dark": (0, 7), "by hand": (30,)})
    return exitwave.simulate(**{"detector": 128, "photons": 1e6, "seed": 3} | SCANS[name])


def digest(array: Any) -> str:
    """Return the SHA-256 of the type, the shape and the bytes of an array."""
    array = np.asarray(array)
    return hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + array.tobytes()).hexdigest()


def digests(result: Any) -> Digests:
    """Return the digests of all arrays of a result."""
    found = {name: digest(getattr(result, name)) for name in ARRAYS if getattr(result, name) is not None}
    return found | {f"model {KEYS.get(key, key)}": digest(value) for key, value in result.model.items()}


def reconstruct(scan: str, **settings: Any) -> Digests:
    """Reconstruct a scan from its own probe, with 10 % of the frames held out."""
    return digests(exitwave.reconstruct(make_scan(scan), **{"holdout": 0.1, "probe": "file", "threads": 1} | settings))


def special() -> Iterator[tuple[str, Callable[[], Digests]]]:
    """Yield the cases of which each needs more than one reconstruction."""

    def start(scan: str, **settings: Any) -> Any:
        return exitwave.reconstruct(make_scan(scan), iterations=5, threads=1, **settings)

    def choose() -> Digests:
        chosen = exitwave.choose(make_scan("faulty"), threads=1)
        return digests(exitwave.reconstruct(chosen.scan, chosen.recipe)) | {"patterns": digest(chosen.scan.patterns[:])}

    def proceed() -> Digests:
        first = start("beam", **PER_FRAME)
        return digests(exitwave.reconstruct(first, algorithm="LSQ-ML", iterations=3, threads=1, position_update=True))

    def joint(share: str) -> Digests:
        scans = [make_scan("modes"), make_scan("left out")]
        results = exitwave.reconstruct(scans, share=share, iterations=4, threads=1, scale_update=True)
        return {f"scan {k}: {key}": value for k, each in enumerate(results) for key, value in digests(each).items()}

    def halves(split: str) -> Digests:
        frc = exitwave.half_scan_frc(start("plain", position_update=True), split=split)
        return {name: digest(getattr(frc, name)) for name in ("frequency", "correlation", "threshold", "resolution")}

    yield from (("choose", choose), ("continued", proceed))
    yield from ((f"joint, share {share}", partial(joint, share)) for share in ("probe", "both"))
    yield from ((f"halves of {split}", partial(halves, split)) for split in ("counts", "frames"))


def two_processes(scan: str, settings: dict[str, Any]) -> Digests:
    """Run the command line in two processes with one thread each, as torchrun starts them."""
    with tempfile.TemporaryDirectory() as folder:
        source, recipe, target = (Path(folder, name) for name in ("scan.cxi", "recipe.yaml", "result.cxi"))
        make_scan(scan).save(source)
        recipe.write_text(json.dumps({"threads": 1, "holdout": 0.1, "probe": "file", **settings}))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            meeting = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        command = [sys.executable, "-m", "exitwave", "reconstruct", source, "--recipe", recipe, "-o", target]
        environment = os.environ | meeting | {"PYTHONPATH": str(Path(exitwave.__file__).parents[1])}
        start = partial(subprocess.Popen, command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        started = [start(env=environment | {"RANK": rank}) for rank in ("0", "1")]
        try:
            errors = [each.communicate(timeout=300)[1] for each in started]
        finally:
            for each in started:
                each.kill()
        if any(each.returncode for each in started):
            raise RuntimeError("\n".join(errors))
        return digests(exitwave.open(target))


def cases() -> Iterator[tuple[str, Callable[[], Digests]]]:
    """Yield the name of every case and the function that runs it."""
    for variant, (scan, settings) in VARIANTS.items():
        for name in ALGORITHMS:
            run = partial(reconstruct, scan, algorithm=name, iterations=5, **settings)
            yield f"{variant}: {name}", run
            if variant in TWO_THREADS:
                yield f"{variant}: {name}, 2 threads", partial(run, threads=2)
            if name in ("mPIE", "LSQ-ML", "ML") or variant == "plain":
                yield f"{variant}: {name}, torch-cpu", partial(run, device="torch-cpu")
    for name, (scan, settings) in SETTINGS.items():
        more = {} if "stages" in settings else {"iterations": 8}
        yield name, partial(reconstruct, scan, **more | settings)
    for name in SCANS:
        yield f"simulate {name}", lambda name=name: {"patterns": digest(make_scan(name).patterns[:])}
    yield from special()
    for name, (scan, settings) in PROCESSES.items():
        yield f"2 processes, {name}", partial(two_processes, scan, settings)


def run(name: str, case: Callable[[], Digests]) -> Digests:
    """Run a case and print its time. The result of a case that raises an exception is the kind of the exception."""
    start, words = time.perf_counter(), ""
    try:
        found = case()
    except Exception as error:
        words = "  (refused)" if isinstance(error, InputError) else f"  (FAILED: {error!r})"
        found = {"raised": type(error).__name__}
    print(f"{time.perf_counter() - start:6.2f} s  {name}{words}", flush=True)
    return found


def main() -> int:
    """Run the cases, and write or compare their digests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", metavar="FILE", type=Path)
    what.add_argument("--compare", metavar="FILE", type=Path)
    parser.add_argument("--only", metavar="TEXT", default="")
    arguments = parser.parse_args()
    found = {name: run(name, case) for name, case in cases() if arguments.only in name}
    if arguments.write:
        arguments.write.write_text(json.dumps(found, indent=1))
        return any(each.get("raised", "InputError") != "InputError" for each in found.values())
    known = json.loads(arguments.compare.read_text())
    differing = []
    for name in sorted({*found, *(name for name in known if arguments.only in name)}):
        fields = {key for key, _ in known.get(name, {}).items() ^ found.get(name, {}).items()}
        differing += [f"{name}: {', '.join(sorted(fields))}"] if fields else []
    print(f"{len(found)} cases, {len(differing)} differ", *differing, sep="\n  ")
    return bool(differing)


if __name__ == "__main__":
    sys.exit(main())
