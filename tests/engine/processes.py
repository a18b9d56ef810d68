"""One of several processes of `test_distributed`: ``processes.py recipes OUT``, ``posed OUT``, ``dying ARGUMENTS``."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

import exitwave
from exitwave.engine.algorithms.table import ALGORITHMS
from exitwave.engine.coarse import crop
from exitwave.engine.halves import HalfCounts
from exitwave.engine.joint import join
from exitwave.engine.pose import pose
from exitwave.engine.team import ALONE, Team
from exitwave.engine.world import find
from exitwave.frames import DerivedFrames, Frames
from exitwave.positions.grid import object_grid

RECIPES = {
    "rPIE": {"algorithm": "rPIE", "iterations": 3, "batch": 8, "position_update": {"schedule": {"start": 1}}},
    "mPIE": {"algorithm": "mPIE", "iterations": 3, "batch": 9, "modes": 2, "variation_update": True},
    "LSQ-ML": {"algorithm": "LSQ-ML", "iterations": 3},
    "LSQ-ML, compact": {"algorithm": "LSQ-ML", "iterations": 3, "batching": "compact"},
    "ML": {"algorithm": "ML", "iterations": 3, "noise": "Poisson", "position_update": True},
    "DM": {"algorithm": "DM", "iterations": 3},
    "RAAR": {"algorithm": "RAAR", "iterations": 3},
    "Adam": {"algorithm": "Adam", "iterations": 2, "scale_update": True},
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
assert {settings["algorithm"] for settings in RECIPES.values()} == set(ALGORITHMS) - {"ePIE"}
DEATH = 3
"""The iteration after which a process dies."""


def reconstruct(team=ALONE):
    """What comes out of every recipe: object, probe, errors, and positions in pixels."""
    scan, found = exitwave.simulate(frames=24, detector=128, photons=1e6, seed=3), {}
    for name, settings in RECIPES.items():
        *_, last = exitwave.iterate(scan, team=team, **{"threads": 1, "holdout": 0.1, "probe": "file"} | settings)
        if name == "rPIE":
            *_, last = exitwave.iterate(last.result(), team=team, threads=1, algorithm="rPIE", iterations=1)
        result = last.result()
        errors = np.concatenate([result.errors, result.holdout_errors])
        whole = {"object": result.object, "probe": result.probe, "errors": errors}
        whole["positions"] = result.positions / result.object_pixel[0]
        found |= {f"{name}: {what}": array for what, array in whole.items()}
    return found


class Asked(DerivedFrames):
    """Frames that remember which of them were asked for."""

    def __init__(self, source):
        self.source, self.shape, self.dtype, self.asked = source, source.shape, source.dtype, []
        self.path, self.dataset = source.path, source.dataset

    def _each(self, indices):
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


def posed(folder, team=ALONE):
    """What the problems of the scans say of all frames, and which were read and are held."""
    found = {}
    for name, scan in scans(folder).items():
        patterns = Asked(scan.patterns)
        grid = object_grid(scan.positions, (128, 128), scan.object_pixel)
        problem = pose(replace(scan, patterns=patterns), scan.positions, grid, holdout=0.2, seed=0, team=team)
        few = problem.only(problem.used[3:9])
        whole = {"used": problem.used, "held out": problem.held_out, "photons": [problem.photons, few.invalid]}
        whole |= {"findings": list(map(str, problem.findings)), "mean": problem.mean(), "few": few.stack}
        whole |= {"coarse": crop(problem, 2).photons, "totals": problem.totals(), "places": few.pixels}
        found |= {f"{name}: {what}": np.array(values) for what, values in whole.items()}
        found |= {f"{name}, read": patterns.asked, f"{name}, held": len(problem.stack)}
    return found


def die(self, step):
    """In the place of the report of an iteration: end the second process at once."""
    if os.environ["RANK"] == "1" and step.iteration == DEATH:
        os.kill(os.getpid(), signal.SIGKILL)


def main(what, *arguments):
    if what in ("recipes", "posed"):
        place = find(os.environ, os.getppid())
        team, output = Team(place), Path(f"{arguments[0]}-{place.rank}.npz")
        folder = output.with_suffix("")
        folder.mkdir()
        np.savez(output, **(reconstruct(team) if what == "recipes" else posed(folder, team)))
        team.leave()
        return
    from exitwave.cli import main as command
    from exitwave.cli.progress import Lines

    Lines.update = die
    sys.argv[1:] = arguments
    command()


if __name__ == "__main__":
    main(*sys.argv[1:])
