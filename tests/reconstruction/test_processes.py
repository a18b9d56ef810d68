"""Recipes in several processes, and the choice of tiles."""

import numpy as np
import pytest
from problems import make_problem

import exitwave
from exitwave.engine.parallel.communicator import ONE_PROCESS, Communicator
from exitwave.engine.parallel.tiles import WHOLE_OBJECT, Tile
from exitwave.engine.recipe import make_recipe
from exitwave.errors import InputError
from exitwave.reconstruction.inputs import Inputs
from exitwave.reconstruction.processes import check_processes, check_tiles, choose_tile


class IsolatedCommunicator(Communicator):
    """The first of several processes, without communication."""

    def __init__(self, size=2):
        self.size = size


def test_recipes_that_cannot_run_in_several_processes_are_refused():
    problem, _ = make_problem(frames=3)
    communicator = IsolatedCommunicator()
    with pytest.raises(InputError, match=r"ePIE in 2 processes"):
        check_processes(make_recipe({"algorithm": "ePIE"}), problem, communicator)
    check_processes(make_recipe({"algorithm": "rPIE"}), problem, communicator)
    check_processes(make_recipe({"algorithm": "ePIE"}), problem, ONE_PROCESS)
    communicator.size = 4
    with pytest.raises(InputError, match=r"4 processes for 3 frames"):
        check_processes(make_recipe({"algorithm": "rPIE"}), problem, communicator)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"slices": 2, "algorithm": "rPIE"}, "slices"),
        ({"coarse": 2}, "coarse: 2"),
        ({"object_constraints": {"total_variation": 0.1}}, r"object_constraints\.total_variation"),
        ({"object_constraints": {"smoothness": 0.1, "grid_artefact": True}}, r"smoothness, object_con.*grid_artefact"),
        ({"probe_constraints": {"centre": "whole", "ramp": True}}, r"probe_constraints\.centre, probe_.*ramp"),
    ],
    ids=lambda each: "" if isinstance(each, dict) else each,
)
def test_settings_that_need_the_whole_object_are_refused(settings, words):
    recipe = make_recipe(settings)
    with pytest.raises(InputError, match=rf"whole object.*{words}.*set tiles to no.*all algorithms but ePIE"):
        check_tiles(recipe, recipe.slices)
    check_tiles(make_recipe({"object_constraints": {"phase_only": True}, "probe_constraints": {"power": True}}), 1)


def test_tiles_are_used_on_request_or_if_the_object_does_not_fit_on_a_gpu(monkeypatch):
    scan = exitwave.simulate(frames=24, detector=128)
    grid = np.linspace(0, 300 * scan.object_pixel[0], 300), np.linspace(0, 300 * scan.object_pixel[1], 300)

    def tile(device="cpu", communicator=IsolatedCommunicator(), **settings):  # noqa: B008
        inputs = Inputs(scan, make_recipe(settings), scan.positions, grid, device=device, communicator=communicator)
        return choose_tile(inputs)

    assert isinstance(tile(tiles="yes"), Tile)
    assert tile(tiles="yes", communicator=Communicator()) is WHOLE_OBJECT
    too_many = IsolatedCommunicator(size=25)  # more processes than frames are refused later
    assert tile(tiles="yes", communicator=too_many) is WHOLE_OBJECT
    assert tile(position_update=True, tiles="yes").largest_move > tile(tiles="yes").largest_move
    assert tile() is WHOLE_OBJECT
    memory = pytest.importorskip("exitwave.engine.backends.cuda.memory")
    assert tile("torch-cpu") is WHOLE_OBJECT
    monkeypatch.setattr(memory, "free_memory_on", lambda _: 8e6)
    assert isinstance(tile("torch-cpu"), Tile)
    assert tile("torch-cpu", tiles="no") is WHOLE_OBJECT
    with pytest.raises(InputError, match="coarse: 2"):
        tile("torch-cpu", coarse=2)
