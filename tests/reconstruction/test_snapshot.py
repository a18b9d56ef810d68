"""A run that continues from a snapshot has the same bits as an uninterrupted one."""

import json
from itertools import islice

import numpy as np
import pytest

import exitwave
from exitwave.engine.algorithms.registry import ALGORITHMS
from exitwave.engine.recipe import make_recipe
from exitwave.engine.snapshot import Packer, Unpacker
from exitwave.errors import InputError
from exitwave.reconstruction.snapshot import Snapshot
from exitwave.simulation import simulate

REFINEMENTS = {
    "positions and modes": {"algorithm": "mPIE", "modes": 2, "position_update": {"schedule": {"start": 1}}},
    "positions of LSQ-ML": {"algorithm": "LSQ-ML", "position_update": {"schedule": {"start": 1}}},
    "compact batches": {"algorithm": "LSQ-ML", "batching": "compact"},
    "positions of ML, prior": {"algorithm": "ML", "noise": "Poisson", "regularisation": 1.0, "position_update": {}},
    "changing beam": {"algorithm": "mPIE", "opr_update": {"number": 1, "schedule": {"start": 1}}},
    "intensities": {"algorithm": "rPIE", "intensity_update": {"schedule": {"start": 1}}},
    "pointing": {"algorithm": "mPIE", "pointing_update": {"schedule": {"start": 1}}},
    "background": {"algorithm": "rPIE", "background_update": {"schedule": {"start": 1}}},
    "distance": {"algorithm": "mPIE", "distance_update": {"schedule": {"start": 1}}, "position_update": {}},
    "constraints": {
        "algorithm": "mPIE", "object_constraints": {"smoothness": 0.1},
        "probe_constraints": {"centre": "whole", "fourier_support": "pattern"},
    },
    "two grids": {
        "stages": [{"algorithm": "mPIE", "iterations": 6, "coarse": 2}, {"algorithm": "ML", "iterations": 3}],
    },
    "three stages": {
        "stages": [{"algorithm": name, "iterations": 4 - k} for k, name in enumerate(("mPIE", "DM", "ML"))],
    },
    "patience": {"algorithm": "mPIE", "iterations": 9, "patience": 2, "holdout": 0.2},
    "two slices": {
        "algorithm": "ML", "slices": 2, "slice_spacing": "20um", "spacing_update": {"schedule": {"start": 1}},
    },
    "fly scan": {"algorithm": "mPIE", "fly": {"exposures": 2}},
}  # fmt: skip


@pytest.fixture(scope="module")
def scan():
    return simulate(frames=24, detector=128, step=150e-9, photons=1e5, seed=3)


def stored(snapshot):
    """Return a snapshot as a file would return it."""
    return Snapshot(snapshot.description, [array.copy() for array in snapshot.arrays])


def assert_same_bits(first, second):
    assert np.array_equal(first.object, second.object)
    assert np.array_equal(first.probe, second.probe)
    assert np.array_equal(first.positions, second.positions)
    assert np.array_equal(first.errors, second.errors)
    assert np.array_equal(first.holdout_deviances, second.holdout_deviances, equal_nan=True)
    assert first.model.keys() == second.model.keys()
    assert all(np.array_equal(first.model[name], second.model[name]) for name in first.model)


def check_resumed(scan, settings, at):
    recipe = make_recipe({"iterations": 7, "threads": 1, **settings} if "stages" not in settings else settings)
    run = exitwave.iterate(scan, recipe)
    snapshot = stored(list(islice(run, at))[-1].snapshot())
    uninterrupted = list(run)[-1].result()
    *_, last = exitwave.iterate(scan, recipe, resume=snapshot)
    assert_same_bits(uninterrupted, last.result())


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS.built_in()))
def test_every_algorithm_resumes_with_the_same_bits(scan, algorithm):
    check_resumed(scan, {"algorithm": algorithm}, 4)


@pytest.mark.parametrize("at", [4])
@pytest.mark.parametrize("name", REFINEMENTS)
def test_every_refinement_resumes_with_the_same_bits(scan, name, at):
    check_resumed(scan, REFINEMENTS[name], at)


def test_a_result_resumes_with_the_same_bits(scan):
    first = exitwave.reconstruct(scan, iterations=3, threads=1)
    check_resumed(first, {}, 4)


def test_references_to_one_array_stay_so():
    array = np.arange(3.0)
    packer = Packer()
    description = json.loads(json.dumps(packer.pack({"a": array, "b": [array, np.float32(2), float("inf")], 3: {"x"}})))
    values = Unpacker(packer.arrays).unpack(description)
    assert values["a"] is values["b"][0]
    assert values["b"][1:] == [2, float("inf")]
    assert isinstance(values["b"][1], np.float32)
    assert values[3] == {"x"}
    assert packer.arrays[0] is array


def test_a_generator_continues_its_sequence():
    generator, packer = np.random.default_rng(4), Packer()
    generator.random(5)
    copy = Unpacker(packer.arrays).unpack(json.loads(json.dumps(packer.pack(generator))))
    assert np.array_equal(copy.random(7), generator.random(7))


@pytest.mark.parametrize("description", [["dataclass", "os:system", ["x", 1]], ["call", "os:system"]])
def test_only_known_classes_are_made(description):
    with pytest.raises(InputError, match="unknown part"):
        Unpacker([]).unpack(description)
