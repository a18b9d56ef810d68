"""Start several processes, and what one of them does in `test_passes` and `test_tiles`.

``processes.py recipes OUT``, ``resume OUT``, ``tiles OUT``, ``memory OUT yes|no``, ``loading OUT``, ``killed ARGS``
"""

import os
import signal
import socket
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from itertools import islice
from pathlib import Path

import h5py
import numpy as np

import exitwave
from exitwave.engine.algorithms.registry import ALGORITHMS
from exitwave.engine.parallel.communicator import ONE_PROCESS, TorchCommunicator
from exitwave.engine.parallel.launcher import launch_info
from exitwave.engine.parallel.tiles import Tile
from exitwave.frames import DerivedFrames, Frames
from exitwave.positions.grid import object_grid
from exitwave.reconstruction.coarse import crop
from exitwave.reconstruction.half_scan_frc import HalfCounts
from exitwave.reconstruction.joint import join
from exitwave.reconstruction.loading import load_problem

RECIPES = {
    "rPIE": {"algorithm": "rPIE", "iterations": 3, "batch": 8, "position_update": {"schedule": {"start": 1}}},
    "mPIE": {"algorithm": "mPIE", "iterations": 3, "batch": 9, "modes": 2, "opr_update": True},
    "LSQ-ML": {"algorithm": "LSQ-ML", "iterations": 3},
    "LSQ-ML, compact": {"algorithm": "LSQ-ML", "iterations": 3, "batching": "compact"},
    "ML": {"algorithm": "ML", "iterations": 3, "noise": "Poisson", "position_update": True},
    "ML with a prior": {"algorithm": "ML", "iterations": 3, "noise": "Poisson", "regularisation": 1.0},
    "DM": {"algorithm": "DM", "iterations": 3},
    "RAAR": {"algorithm": "RAAR", "iterations": 3},
    "Adam": {"algorithm": "Adam", "iterations": 2, "intensity_update": True},
    "PIE": {"algorithm": "PIE", "iterations": 2},
    "DM on tensors": {"algorithm": "DM", "iterations": 2, "device": "torch-cpu"},
    "fly": {"algorithm": "rPIE", "iterations": 2, "fly": {"exposures": 3}},
    "small batches": {"algorithm": "rPIE", "iterations": 2, "coarse": 2, "background_update": True, "batch": 1},
    "mPIE on tensors": {
        "algorithm": "mPIE", "iterations": 2, "background_update": True, "batch": 1, "device": "torch-cpu",
        "position_update": {"schedule": {"start": 1}},
    },
    "probe from the data": {
        "algorithm": "rPIE", "iterations": 7, "probe": "auto", "position_update": True,
        "probe_constraints": {"fourier_support": "pattern", "centre": "subpixel", "power": True},
    },
    "rPIE of slices": {"algorithm": "rPIE", "iterations": 2, "slices": 2, "probe": "auto"},
    "ML of slices": {"algorithm": "ML", "iterations": 3, "noise": "Poisson", "slices": 2},
}  # fmt: skip
IN_PROCESSES = {name for name, algorithm in ALGORITHMS.all().items() if algorithm.processes}
RECIPES |= {
    name: {"algorithm": name, "iterations": 2}
    for name in IN_PROCESSES - {settings["algorithm"] for settings in RECIPES.values()}
}
NOT_ON_TILES = {"coarse", "slices", "probe_constraints"}
"""Settings of the recipes above that need the whole object."""
TILED = {name: settings for name, settings in RECIPES.items() if not NOT_ON_TILES & set(settings)} | {
    "per-frame refinements": {
        "algorithm": "mPIE", "iterations": 3, "pointing_update": {"schedule": {"start": 1}}, "intensity_update": True,
        "opr_update": True, "distance_update": {"schedule": {"start": 1}},
    },
    "constraints": {
        "algorithm": "RAAR", "iterations": 3, "probe": "auto",
        "object_constraints": {"phase": [-2, 2], "amplitude": [0, 1.1]},
        "probe_constraints": {"fourier_support": "pattern", "support": 0.9, "power": True},
    },
    "ML on tensors": {
        "algorithm": "ML", "iterations": 2, "device": "torch-cpu", "position_update": True, "regularisation": 1.0,
    },
}  # fmt: skip
assert {settings["algorithm"] for settings in TILED.values()} == IN_PROCESSES
KILLED_AFTER = 3
"""The iteration after which a process is killed."""
TIMEOUT = 120
"""Seconds within which all processes must end."""


def start(*commands: list[str], **environment: str) -> list[subprocess.Popen]:
    """Start a process for each command, with the environment of torchrun and further variables."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    launch = {"WORLD_SIZE": str(len(commands)), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return [
        subprocess.Popen(
            [sys.executable, *command], env=os.environ | launch | environment | {"RANK": str(rank)}, **pipes
        )
        for rank, command in enumerate(commands)
    ]


def wait_for(started: list[subprocess.Popen]) -> list[tuple[int, str, str]]:
    """Return exit code, standard output and standard error of all processes."""
    try:
        outputs = [each.communicate(timeout=TIMEOUT) for each in started]
    finally:
        for each in started:
            each.kill()
    return [(each.returncode, *output) for each, output in zip(started, outputs, strict=True)]


def reconstruct(communicator=ONE_PROCESS, recipes=RECIPES, **common):
    """Return the results of all recipes: object, mask, probe, errors, and positions in pixels."""
    scan, found = exitwave.simulate(frames=24, detector=128, photons=1e6, seed=3), {}
    common = {"communicator": communicator, "threads": 1} | common
    for name, settings in recipes.items():
        *_, last = exitwave.iterate(scan, **common, **{"holdout": 0.1, "probe": "file"} | settings)
        if name == "rPIE":
            *_, last = exitwave.iterate(last.result(), **common, algorithm="rPIE", iterations=1)
        result = last.result()
        errors = np.concatenate([result.errors, result.holdout_errors])
        arrays = {"object": result.object, "mask": result.mask, "probe": result.probe, "errors": errors}
        arrays["positions"] = result.positions / result.object_pixel[0]
        found |= {f"{name}: {what}": array for what, array in arrays.items()}
    return found


RESUMED = {
    "whole object": {"algorithm": "mPIE", "iterations": 5, "modes": 2, "position_update": True, "tiles": "no"},
    "tiles": {"algorithm": "ML", "iterations": 5, "noise": "Poisson", "position_update": True, "tiles": "yes"},
    "waves": {"algorithm": "DM", "iterations": 5},
    "tensors": {"algorithm": "LSQ-ML", "iterations": 5, "device": "torch-cpu"},
}


def resume(communicator):
    """Return whether runs that resume from the third iteration have the bits of uninterrupted ones."""
    scan, found = exitwave.simulate(frames=24, detector=128, photons=1e6, seed=3), {}
    common = {"communicator": communicator, "threads": 1, "holdout": 0.1, "probe": "file"}
    for name, settings in RESUMED.items():
        run = exitwave.iterate(scan, **common, **settings)
        snapshot = list(islice(run, 3))[-1].snapshot().copied()
        whole = list(run)[-1].result()
        *_, last = exitwave.iterate(scan, **common, **settings, resume=snapshot)
        result = last.result()
        pairs = [(getattr(whole, each), getattr(result, each)) for each in ("object", "probe", "positions", "errors")]
        found[name] = all(np.array_equal(first, second) for first, second in pairs)
    return found


SPANS = np.array([[0, 40], [10, 50], [30, 90]])
"""Rows of three tiles; rows 30 to 39 are in all of them."""


def tile_operations(communicator):
    """Return what the operations of a `Tile` give for random arrays."""
    tile, rng = (
        Tile(communicator, communicator.rank, np.array([0, 15, 45, 90]), SPANS, np.arange(0), 0.0),
        np.random.default_rng(0),
    )
    parts = [rng.standard_normal((end - first, 7, 2)).astype(np.float32) for first, end in SPANS]
    total = parts[communicator.rank].copy().view(np.complex64)[..., 0]
    tile.add(total)
    whole = tile.assemble(total, 0)
    found = {"total": total, "whole": whole, "largest": tile.largest(total.real), "inner": tile.inner(total, total)}
    return found | {
        "rms": tile.rms(total),
        "again": tile.distribute(whole),
        "once": tile.total(tile.count_once(3.0))[0],
    }


def memory(communicator, tiles):
    """Return the largest memory of arrays during the iterations, and that of the object, in MB."""
    small = exitwave.simulate(scan="raster", frames=16, detector=128, step=1e-6)
    scan = replace(small, patterns=Frames(small.patterns[:]), positions=10 * small.positions, truth=None)
    tracemalloc.start()
    settings = {"algorithm": "mPIE", "iterations": 2, "batch": 4, "probe": "file", "threads": 1, "tiles": tiles}
    *_, last = exitwave.iterate(scan, communicator=communicator, **settings)
    return {"largest": tracemalloc.get_traced_memory()[1] / 1e6, "object": last.result().object.nbytes / 1e6}


class RecordingFrames(DerivedFrames):
    """Frames that record which of them are read."""

    def __init__(self, source):
        self.source, self.shape, self.dtype, self.read = source, source.shape, source.dtype, []
        self.path, self.dataset = source.path, source.dataset

    def _iterate(self, indices):
        for index in indices:
            self.read += np.arange(len(self))[index].ravel().tolist()
            yield self.source[index]


def scans(folder):
    """Return scans with different kinds of frames: chunks of several frames, halved counts, and several scans.

    Some frames are left out, some hold no counts, one has fractions of counts, and some counts are invalid.
    """
    scan = exitwave.simulate(frames=24, detector=128, photons=1e5, seed=4)
    stack = scan.patterns[:]
    stack[[1, 9, 11]] = 0
    stack[5, :2], stack[6, 0] = -1, np.nan
    with h5py.File(folder / "frames.h5", "w") as file:
        file.create_dataset("frames", data=stack, chunks=(5, 128, 128), compression="gzip")
    chunks = replace(
        scan, patterns=Frames(folder / "frames.h5", "/frames"), left_out={"by hand": (0, 2, 4), "dark": (8,)}
    )
    some = np.nan_to_num(stack)
    some[7] += 0.5
    return {
        "chunks": chunks,
        "halves": replace(scan, patterns=HalfCounts(scan.patterns, None, second=True)),
        "joint": join([chunks, replace(scan, patterns=Frames(some))], "probe").scan,
    }


def load(folder, communicator=ONE_PROCESS):
    """Return properties of the loaded problems, and which frames this process has read and holds."""
    found = {}
    for name, scan in scans(folder).items():
        patterns = RecordingFrames(scan.patterns)
        grid = object_grid(scan.positions, (128, 128), scan.object_pixel)
        problem = load_problem(
            replace(scan, patterns=patterns), scan.positions, grid, holdout=0.2, seed=0, communicator=communicator
        )
        few = problem.subset(problem.used[3:9])
        values = {"used": problem.used, "held out": problem.held_out, "photons": [problem.photons, few.invalid]}
        values |= {"findings": list(map(str, problem.findings)), "mean": problem.mean(), "few": few.counts}
        values |= {"coarse": crop(problem, 2).photons, "totals": problem.totals(), "pixels": few.pixels}
        found |= {f"{name}: {what}": np.array(value) for what, value in values.items()}
        found |= {f"{name}, read": patterns.read, f"{name}, held": len(problem.counts)}
    return found


def kill(self, step):
    """Kill the second process instead of reporting an iteration."""
    if os.environ["RANK"] == "1" and step.iteration == KILLED_AFTER:
        os.kill(os.getpid(), signal.SIGKILL)


def main(what, *arguments):
    if what != "killed":
        launch = launch_info(os.environ, os.getppid())
        communicator, output = TorchCommunicator(launch), Path(f"{arguments[0]}-{launch.rank}.npz")
        folder = output.with_suffix("")
        folder.mkdir()
        functions = {
            "recipes": lambda: reconstruct(communicator),
            "resume": lambda: resume(communicator),
            "tiles": lambda: (
                reconstruct(communicator, TILED, tiles="yes")
                | (tile_operations(communicator) if communicator.size == len(SPANS) else {})
            ),
            "memory": lambda: memory(communicator, *arguments[1:]),
            "loading": lambda: load(folder, communicator),
        }
        np.savez(output, **functions[what]())
        communicator.close()
        return
    from exitwave.cli import main as command
    from exitwave.cli.progress import Lines

    Lines.update = kill
    sys.argv[1:] = arguments
    command()


if __name__ == "__main__":
    main(*sys.argv[1:])
