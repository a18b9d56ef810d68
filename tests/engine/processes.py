"""One of several processes of `test_distributed`: ``processes.py recipes OUT`` or ``processes.py dying ARGUMENTS``."""

import os
import signal
import sys

import numpy as np

import exitwave
from exitwave.engine.algorithms.table import ALGORITHMS
from exitwave.engine.team import ALONE, Team
from exitwave.engine.world import find

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
}  # fmt: skip
assert {settings["algorithm"] for settings in RECIPES.values()} == set(ALGORITHMS) - {"ePIE"}
DEATH = 3
"""The iteration after which a process dies."""


def reconstruct(team=ALONE):
    """What comes out of every recipe: object, probe, errors, and positions in pixels."""
    scan, found = exitwave.simulate(frames=24, detector=128, photons=1e6, seed=3), {}
    for name, settings in RECIPES.items():
        *_, last = exitwave.iterate(scan, threads=1, holdout=0.1, probe="file", team=team, **settings)
        result = last.result()
        errors = np.concatenate([result.errors, result.holdout_errors])
        whole = {"object": result.object, "probe": result.probe, "errors": errors}
        whole["positions"] = result.positions / result.object_pixel[0]
        found |= {f"{name}: {what}": array for what, array in whole.items()}
    return found


def die(self, step):
    """In the place of the report of an iteration: end the second process at once."""
    if os.environ["RANK"] == "1" and step.iteration == DEATH:
        os.kill(os.getpid(), signal.SIGKILL)


def main(what, *arguments):
    if what == "recipes":
        place = find(os.environ, os.getppid())
        team = Team(place)
        np.savez(f"{arguments[0]}-{place.rank}.npz", **reconstruct(team))
        team.leave()
        return
    from exitwave.cli import main as command
    from exitwave.cli.progress import Lines

    Lines.update = die
    sys.argv[1:] = arguments
    command()


if __name__ == "__main__":
    main(*sys.argv[1:])
