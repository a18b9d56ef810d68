"""Tiles of the object in several processes: the same result, less memory, and what they cannot do."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import processes
import pytest
from problems import make_problem, torch
from processes import SPANS, ends, start

import exitwave
from exitwave.cli.settings import parse_settings, split_settings
from exitwave.engine.model.positions import inside, stopped
from exitwave.engine.parallel.communicator import Communicator
from exitwave.engine.parallel.passes import refuse_tiles
from exitwave.engine.parallel.tiles import WHOLE_OBJECT, Tile, cut
from exitwave.engine.recipe import make_recipe
from exitwave.errors import InputError
from exitwave.jobs.job import Inputs, Job
from exitwave.jobs.run import run as run_job
from exitwave.reconstruction.setup import _tile


class Some(Communicator):
    """One of several processes, which hears nothing of the others."""

    def __init__(self, rank=0, size=2):
        self.rank, self.size = rank, size


@pytest.fixture(scope="module")
def alone():
    return processes.reconstruct(recipes=processes.TILED)


def run(count, what, path, *more):
    """What some processes find."""
    assert [code for code, *_ in ends(start(*[[processes.__file__, what, str(path), *more]] * count))] == [0] * count
    return [dict(np.load(f"{path}-{rank}.npz")) for rank in range(count)]


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return run(3, "tiles", tmp_path_factory.mktemp("tiles") / "of")


@torch
@pytest.mark.parametrize("count", [2, 3])
def test_tiles_do_what_one_process_does(count, alone, tmp_path, request):
    first, *others = run(2, "tiles", tmp_path / "of") if count == 2 else request.getfixturevalue("three")
    for name, one in alone.items():
        assert np.linalg.norm(first[name] - one) < 1e-4 * np.linalg.norm(one), name
        for each in others:
            if name.endswith(("object", "mask")):  # they have their stripe of the object, and 0 elsewhere
                stripe = each[name].any(axis=1)
                assert stripe.sum() < 0.7 * len(stripe), name
                np.testing.assert_array_equal(each[name][stripe], first[name][stripe], name)
            else:
                np.testing.assert_array_equal(each[name], first[name], name)


@torch
def test_sums_are_those_of_all_tiles_and_have_the_same_bits_in_each(three):
    rng = np.random.default_rng(0)
    whole, power = np.zeros((90, 7), complex), 0.0
    for first, end in SPANS:
        whole[first:end] += rng.standard_normal((end - first, 7, 2)).astype(np.float32).view(np.complex64)[..., 0]
    power = np.linalg.norm(whole) ** 2
    for each, (first, end) in zip(three, SPANS, strict=True):
        np.testing.assert_allclose(each["total"], whole[first:end], atol=1e-6)
        np.testing.assert_array_equal(each["total"], three[0]["whole"][first:end])
        np.testing.assert_array_equal(each["again"], each["total"])
        assert each["largest"] == pytest.approx(whole.real.max())
        assert each["inner"] == pytest.approx(power)
        assert each["rms"] == pytest.approx((power / whole.size) ** 0.5)
        assert each["once"] == 3


@torch
def test_a_tile_takes_less_memory_than_the_whole(tmp_path):
    tiles, whole = run(2, "large", tmp_path / "tiles", "yes"), run(2, "large", tmp_path / "whole", "no")
    least = min(each["taken"] for each in whole)
    assert least > 5 * whole[0]["object"]
    assert max(each["taken"] for each in tiles) < 0.75 * least


def test_every_frame_is_in_one_tile_that_holds_its_window_and_every_row_in_one_stripe():
    rng, shape, room = np.random.default_rng(1), (700, 300), 5
    rows = rng.uniform(40, 660, (50, 1)) + np.array([-3.0, 0.0, 3.0])
    wanted = np.setdiff1d(np.arange(50), [3, 8])
    tiles = [cut(rows, wanted, shape, 32, room, Some(rank, 4)) for rank in range(4)]
    assert sorted(np.concatenate([tile.frames for tile in tiles])) == list(range(50))
    assert {len(np.intersect1d(tile.frames, wanted)) for tile in tiles} == {12}
    for tile in tiles:
        height, width = tile.shape(shape)
        top, left = tile.origin
        assert (left, width, top % 2) == (0, 300, 0)
        assert top + 2 < rows[tile.frames].min() - room - 16
        assert top + height - 2 > rows[tile.frames].max() + room + 16
    held = np.zeros((tiles[0].shape(shape)[0], 300))
    assert len(tiles[0].own(held)) == tiles[0].edges[1]
    assert tiles[0].edges[0] == 0
    assert tiles[0].edges[-1] == 700
    assert all(
        first <= a <= b <= end for (first, end), a, b in zip(tiles[0].spans, *_pairs(tiles[0].edges), strict=True)
    )


def _pairs(edges):
    return edges[:-1], edges[1:]


@torch
def test_a_process_that_is_killed_leaves_a_result_with_the_tile_of_another(tmp_path):
    scan, output, onward = (tmp_path / name for name in ("scan.cxi", "out.cxi", "onward.cxi"))
    exitwave.simulate(frames=24, detector=128, photons=1e6, seed=3).save(scan)
    command = [processes.__file__, "dying", "reconstruct", str(scan), "-o", str(output), "--probe", "file", "--json"]
    command += ["--algorithm", "rPIE", "--iterations", "9", "--threads", "1", "--set", "tiles=yes"]
    first, second = ends(start(*[command] * 2))
    assert (first[0], second[0]) == (3, -9)
    message = json.loads(first[1])["error"]["message"]
    assert message.startswith("Another process of this run has died")
    assert not output.exists()
    output = tmp_path / "out_tile.cxi"
    result = exitwave.open(output)
    rows = np.flatnonzero((result.object != result.object[-1, 0]).any(axis=1))
    assert f"The partial result was saved after {processes.DEATH} of 9 iterations: {output}" in message
    assert f"It contains only the tile of one process, rows 0 to {rows.max()} of {len(result.object)}" in message
    assert len(result.errors) == processes.DEATH
    assert rows.max() < 0.95 * len(result.object)
    assert result.mask[rows].any()

    *_, last = exitwave.iterate(result, algorithm="rPIE", iterations=1, threads=1)
    continued = ["-m", "exitwave", "reconstruct", str(output), "-o", str(onward), *command[8:]]
    continued[continued.index("9")] = "1"
    assert [code for code, *_ in ends(start(*[continued] * 2))] == [0, 0]
    tiled = exitwave.open(onward)
    assert tiled.errors[-1] == pytest.approx(last.result().errors[-1], rel=1e-4)
    assert np.linalg.norm(tiled.object - last.result().object) < 1e-4 * np.linalg.norm(tiled.object)


def test_halves_need_the_whole_object(monkeypatch, tmp_path):
    monkeypatch.setattr(exitwave, "iterate", lambda *_, **__: iter([SimpleNamespace(tile="rows 0 to 9 of 19")]))
    job = Job((), (tmp_path / "out.cxi",), as_is=True, frc=True)
    with pytest.raises(InputError, match=r"--frc .*whole object.*rows 0 to 9 of 19.*tiles=no"):
        run_job(job, Inputs((None,), {}, 0.0))


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
def test_what_needs_the_whole_object_is_refused(settings, words):
    recipe = make_recipe(settings)
    with pytest.raises(InputError, match=rf"whole object.*{words}.*set tiles to no.*all algorithms but ePIE"):
        refuse_tiles(recipe, recipe.slices)
    refuse_tiles(make_recipe({"object_constraints": {"phase_only": True}, "probe_constraints": {"power": True}}), 1)


def test_tiles_are_cut_where_they_are_asked_for_or_a_gpu_needs_them(monkeypatch):
    scan = exitwave.simulate(frames=24, detector=128)
    grid = np.linspace(0, 300 * scan.object_pixel[0], 300), np.linspace(0, 300 * scan.object_pixel[1], 300)

    def tile(device="cpu", communicator=Some(), **settings):  # noqa: B008
        return _tile(scan, make_recipe(settings), None, scan.positions, grid, device, communicator)

    assert isinstance(tile(tiles="yes"), Tile)
    assert tile(tiles="yes", communicator=Communicator()) is WHOLE_OBJECT
    assert tile(tiles="yes", communicator=Some(size=25)) is WHOLE_OBJECT  # which is refused later
    assert tile(position_update=True, tiles="yes").room > tile(tiles="yes").room
    assert tile() is WHOLE_OBJECT
    memory = pytest.importorskip("exitwave.engine.backends.cuda.memory")
    assert tile("torch-cpu") is WHOLE_OBJECT
    monkeypatch.setattr(memory, "free_memory_on", lambda _: 8e6)
    assert isinstance(tile("torch-cpu"), Tile)
    assert tile("torch-cpu", tiles="no") is WHOLE_OBJECT
    with pytest.raises(InputError, match="coarse: 2"):
        tile("torch-cpu", coarse=2)


def test_a_recipe_takes_yes_and_no_as_yaml_has_them():
    found = [make_recipe(split_settings(parse_settings([f"tiles={word}"]))[1]).tiles for word in ("yes", "no", "auto")]
    assert found == ["yes", "no", "auto"]
    with pytest.raises(InputError, match="tiles"):
        make_recipe({"tiles": "perhaps"})


def test_a_frame_that_comes_to_the_edge_of_its_tile_stops_there_and_is_told():
    problem, state = make_problem(frames=6, margin=4)
    tile = cut(problem.pixels[:, :1].astype(float), problem.used, problem.object_shape, problem.shape[0], 2, Some())
    whole, problem = problem, dataclasses.replace(problem, tile=tile)
    state.positions = problem.pixels + np.array([3.0, 0.5]) * np.arange(6)[:, None] / 5
    free = inside(state.positions, whole)
    state.positions = inside(state.positions, problem)
    far = free[:, 0] > problem.pixels[:, 0] + 2
    np.testing.assert_allclose(state.positions[~far], free[~far])
    np.testing.assert_allclose(state.positions[far, 0], problem.pixels[far, 0] + 2)
    (finding,) = stopped(state, problem)
    assert finding.code == "W236"
    assert f"{far.sum()} frames" in finding.found
    assert stopped(state, whole) == ()
