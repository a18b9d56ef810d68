"""One of several processes of `test_distributed` and `test_tiles`.

``processes.py recipes OUT``, ``tiles OUT``, ``large OUT yes|no``, ``posed OUT``, ``dying ARGUMENTS``.
"""

import os
import signal
import socket
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

import exitwave
from exitwave.engine.algorithms.registry import ALGORITHMS
from exitwave.engine.parallel.communicator import ONE_PROCESS, TorchCommunicator
from exitwave.engine.parallel.launcher import find
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
    "DM": {"algorithm": "DM", "iterations": 3},
    "RAAR": {"algorithm": "RAAR", "iterations": 3},
    "Adam": {"algorithm": "Adam", "iterations": 2, "intensity_update": True},
    "PIE": {"algorithm": "PIE", "iterations": 2},
    "DM on tensors": {"algorithm": "DM", "iterations": 2, "device": "torch-cpu"},
    "fly": {"algorithm": "rPIE", "iterations": 2, "fly": {"exposures": 3}},
    "some without a frame": {"algorithm": "rPIE", "iterations": 2, "coarse": 2, "background_update": True, "batch": 1},
    "on tensors": {
        "algorithm": "mPIE", "iterations": 2, "background_update": True, "batch": 1, "device": "torch-cpu",
        "position_update": {"schedule": {"start": 1}},
    },
    "from the frames alone": {
        "algorithm": "rPIE", "iterations": 7, "probe": "auto", "position_update": True,
        "probe_constraints": {"fourier_support": "pattern", "centre": "subpixel", "power": True},
    },
    "thick": {"algorithm": "rPIE", "iterations": 2, "slices": 2, "probe": "auto"},
    "ML of slices": {"algorithm": "ML", "iterations": 3, "noise": "Poisson", "slices": 2},
}  # fmt: skip
assert {settings["algorithm"] for settings in RECIPES.values()} == set(ALGORITHMS.all()) - {"ePIE"}
WHOLE_OBJECT = {"coarse", "slices", "probe_constraints"}
"""Settings of the recipes above that need the whole object."""
TILED = {name: settings for name, settings in RECIPES.items() if not WHOLE_OBJECT & set(settings)} | {
    "what frames have of their own": {
        "algorithm": "mPIE", "iterations": 3, "pointing_update": {"schedule": {"start": 1}}, "intensity_update": True,
        "opr_update": True, "distance_update": {"schedule": {"start": 1}},
    },
    "limits": {
        "algorithm": "RAAR", "iterations": 3, "probe": "auto",
        "object_constraints": {"phase": [-2, 2], "amplitude": [0, 1.1]},
        "probe_constraints": {"fourier_support": "pattern", "support": 0.9, "power": True},
    },
    "ML on tensors": {"algorithm": "ML", "iterations": 2, "device": "torch-cpu", "position_update": True},
}  # fmt: skip
assert {settings["algorithm"] for settings in TILED.values()} == set(ALGORITHMS.all()) - {"ePIE"}
DEATH = 3
"""The iteration after which a process dies."""


PATIENCE = 30
"""Seconds within which the processes end after one has failed."""


def start(*commands: list[str], **environment: str) -> list[subprocess.Popen]:
    """Start processes that find each other as those of torchrun do, with further variables of the environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {"WORLD_SIZE": str(len(commands)), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return [
        subprocess.Popen(
            [sys.executable, *command], env=os.environ | world | environment | {"RANK": str(rank)}, **pipes
        )
        for rank, command in enumerate(commands)
    ]


def ends(started: list[subprocess.Popen]) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of all."""
    try:
        said = [each.communicate(timeout=4 * PATIENCE) for each in started]
    finally:
        for each in started:
            each.kill()
    return [(each.returncode, *words) for each, words in zip(started, said, strict=True)]


def reconstruct(communicator=ONE_PROCESS, recipes=RECIPES, **how):
    """What comes out of every recipe: object, where the beam has been, probe, errors, and positions in pixels."""
    scan, found = exitwave.simulate(frames=24, detector=128, photons=1e6, seed=3), {}
    how = {"communicator": communicator, "threads": 1} | how
    for name, settings in recipes.items():
        *_, last = exitwave.iterate(scan, **how, **{"holdout": 0.1, "probe": "file"} | settings)
        if name == "rPIE":
            *_, last = exitwave.iterate(last.result(), **how, algorithm="rPIE", iterations=1)
        result = last.result()
        errors = np.concatenate([result.errors, result.holdout_errors])
        whole = {"object": result.object, "mask": result.mask, "probe": result.probe, "errors": errors}
        whole["positions"] = result.positions / result.object_pixel[0]
        found |= {f"{name}: {what}": array for what, array in whole.items()}
    return found


SPANS = np.array([[0, 40], [10, 50], [30, 90]])
"""Rows of three tiles, of which some are in all of them."""


def shared(communicator):
    """Sums of parts that are random, and what is told of all rows."""
    tile, rng = (
        Tile(communicator, communicator.rank, np.array([0, 15, 45, 90]), SPANS, np.arange(0), 0.0),
        np.random.default_rng(0),
    )
    parts = [rng.standard_normal((end - first, 7, 2)).astype(np.float32) for first, end in SPANS]
    total = parts[communicator.rank].copy().view(np.complex64)[..., 0]
    tile.add(total)
    whole = tile.assembled(total, 0)
    found = {"total": total, "whole": whole, "largest": tile.largest(total.real), "inner": tile.inner(total, total)}
    return found | {"rms": tile.rms(total), "again": tile.cut(whole), "once": tile.total(tile.once(3.0))[0]}


def large(communicator, tiles):
    """The megabytes of arrays that the iterations have taken at most, and those of the object."""
    small = exitwave.simulate(scan="raster", frames=16, detector=128, step=1e-6)
    scan = replace(small, patterns=Frames(small.patterns[:]), positions=10 * small.positions, truth=None)
    tracemalloc.start()
    how = {"algorithm": "mPIE", "iterations": 2, "batch": 4, "probe": "file", "threads": 1, "tiles": tiles}
    *_, last = exitwave.iterate(scan, communicator=communicator, **how)
    return {"taken": tracemalloc.get_traced_memory()[1] / 1e6, "object": last.result().object.nbytes / 1e6}


class Asked(DerivedFrames):
    """Frames that remember which of them were asked for."""

    def __init__(self, source):
        self.source, self.shape, self.dtype, self.asked = source, source.shape, source.dtype, []
        self.path, self.dataset = source.path, source.dataset

    def _iterate(self, indices):
        for index in indices:
            self.asked += np.arange(len(self))[index].ravel().tolist()
            yield self.source[index]


def scans(folder):
    """Scans with frames of many kinds: in chunks of several, halved, and of several scans.

    Some frames are left out, some hold no counts, one has parts of counts, and some counts are none.
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


def posed(folder, communicator=ONE_PROCESS):
    """What the problems of the scans say of all frames, and which were read and are held."""
    found = {}
    for name, scan in scans(folder).items():
        patterns = Asked(scan.patterns)
        grid = object_grid(scan.positions, (128, 128), scan.object_pixel)
        problem = load_problem(
            replace(scan, patterns=patterns), scan.positions, grid, holdout=0.2, seed=0, communicator=communicator
        )
        few = problem.subset(problem.used[3:9])
        whole = {"used": problem.used, "held out": problem.held_out, "photons": [problem.photons, few.invalid]}
        whole |= {"findings": list(map(str, problem.findings)), "mean": problem.mean(), "few": few.counts}
        whole |= {"coarse": crop(problem, 2).photons, "totals": problem.totals(), "places": few.pixels}
        found |= {f"{name}: {what}": np.array(values) for what, values in whole.items()}
        found |= {f"{name}, read": patterns.asked, f"{name}, held": len(problem.counts)}
    return found


def die(self, step):
    """In the place of the report of an iteration: end the second process at once."""
    if os.environ["RANK"] == "1" and step.iteration == DEATH:
        os.kill(os.getpid(), signal.SIGKILL)


def main(what, *arguments):
    if what != "dying":
        place = find(os.environ, os.getppid())
        communicator, output = TorchCommunicator(place), Path(f"{arguments[0]}-{place.rank}.npz")
        folder = output.with_suffix("")
        folder.mkdir()
        does = {
            "recipes": lambda: reconstruct(communicator),
            "tiles": lambda: (
                reconstruct(communicator, TILED, tiles="yes")
                | (shared(communicator) if communicator.size == len(SPANS) else {})
            ),
            "large": lambda: large(communicator, *arguments[1:]),
            "posed": lambda: posed(folder, communicator),
        }
        np.savez(output, **does[what]())
        communicator.leave()
        return
    from exitwave.cli import main as command
    from exitwave.cli.progress import Lines

    Lines.update = die
    sys.argv[1:] = arguments
    command()


if __name__ == "__main__":
    main(*sys.argv[1:])
