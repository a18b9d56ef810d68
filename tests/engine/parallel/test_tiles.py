"""Tiles of the object in several processes: the result of one process, less memory, and limits."""

import dataclasses
import json
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import processes
import pytest
from problems import make_problem, torch
from processes import SPANS, start, wait_for

import exitwave
from exitwave.cli.settings import parse_settings, split_settings
from exitwave.engine.model.positions import clip_positions, tile_limit_findings
from exitwave.engine.parallel.communicator import Communicator
from exitwave.engine.parallel.tiles import make_tile
from exitwave.engine.recipe import make_recipe
from exitwave.errors import InputError
from exitwave.jobs.job import Inputs, Job
from exitwave.jobs.run import run as run_job


class Isolated(Communicator):
    """One of several processes, without communication."""

    def __init__(self, rank=0, size=2):
        self.rank, self.size = rank, size


@pytest.fixture(scope="module")
def single():
    return processes.reconstruct(recipes=processes.TILED)


def run(count, what, path, *more):
    """Return what each of some processes has saved."""
    started = start(*[[processes.__file__, what, str(path), *more]] * count)
    assert [code for code, *_ in wait_for(started)] == [0] * count
    return [dict(np.load(f"{path}-{rank}.npz")) for rank in range(count)]


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return run(3, "tiles", tmp_path_factory.mktemp("tiles") / "of")


@torch
@pytest.mark.parametrize("count", [2, 3])
def test_tiles_give_the_result_of_one_process(count, single, tmp_path, request):
    first, *others = run(2, "tiles", tmp_path / "of") if count == 2 else request.getfixturevalue("three")
    for name, one in single.items():
        assert np.linalg.norm(first[name] - one) < 1e-4 * np.linalg.norm(one), name
        for each in others:
            if name.endswith(("object", "mask")):  # their stripe of the object, and 0 elsewhere
                stripe = each[name].any(axis=1)
                assert stripe.sum() < 0.7 * len(stripe), name
                np.testing.assert_array_equal(each[name][stripe], first[name][stripe], name)
            else:
                np.testing.assert_array_equal(each[name], first[name], name)


@torch
def test_sums_over_tiles_are_right_and_have_the_same_bits_in_each(three):
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
def test_tiles_need_less_memory_than_the_whole_object(tmp_path):
    tiles, whole = run(2, "memory", tmp_path / "tiles", "yes"), run(2, "memory", tmp_path / "whole", "no")
    least = min(each["largest"] for each in whole)
    assert least > 5 * whole[0]["object"]
    assert max(each["largest"] for each in tiles) < 0.75 * least


def test_each_frame_is_in_one_tile_that_contains_its_window_and_each_row_in_one_stripe():
    rng, shape, largest_move = np.random.default_rng(1), (700, 300), 5
    rows = rng.uniform(40, 660, (50, 1)) + np.array([-3.0, 0.0, 3.0])
    wanted = np.setdiff1d(np.arange(50), [3, 8])
    tiles = [make_tile(rows, wanted, shape, 32, largest_move, Isolated(rank, 4)) for rank in range(4)]
    assert sorted(np.concatenate([tile.frames for tile in tiles])) == list(range(50))
    assert {len(np.intersect1d(tile.frames, wanted)) for tile in tiles} == {12}
    for tile in tiles:
        height, width = tile.shape(shape)
        top, left = tile.origin
        assert (left, width, top % 2) == (0, 300, 0)
        assert top + 2 < rows[tile.frames].min() - largest_move - 16
        assert top + height - 2 > rows[tile.frames].max() + largest_move + 16
    held = np.zeros((tiles[0].shape(shape)[0], 300))
    assert len(tiles[0].owned(held)) == tiles[0].edges[1]
    assert tiles[0].edges[0] == 0
    assert tiles[0].edges[-1] == 700
    assert all(
        first <= a <= b <= end for (first, end), (a, b) in zip(tiles[0].spans, pairwise(tiles[0].edges), strict=True)
    )


@torch
def test_after_a_process_is_killed_the_result_has_the_tile_of_the_other(tmp_path):
    scan, output, further = (tmp_path / name for name in ("scan.cxi", "out.cxi", "further.cxi"))
    exitwave.simulate(frames=24, detector=128, photons=1e6, seed=3).save(scan)
    command = [processes.__file__, "killed", "reconstruct", str(scan), "-o", str(output), "--probe", "file", "--json"]
    command += ["--algorithm", "rPIE", "--iterations", "9", "--threads", "1", "--set", "tiles=yes"]
    first, second = wait_for(start(*[command] * 2))
    assert (first[0], second[0]) == (3, -9)
    message = json.loads(first[1])["error"]["message"]
    assert message.startswith("Another process of this run has died")
    assert not output.exists()
    output = tmp_path / "out_tile.cxi"
    result = exitwave.open(output)
    rows = np.flatnonzero((result.object != result.object[-1, 0]).any(axis=1))
    assert f"The partial result was saved after {processes.KILLED_AFTER} of 9 iterations: {output}" in message
    assert f"It contains only the tile of one process, rows 0 to {rows.max()} of {len(result.object)}" in message
    assert len(result.errors) == processes.KILLED_AFTER
    assert rows.max() < 0.95 * len(result.object)
    assert result.mask[rows].any()

    *_, last = exitwave.iterate(result, algorithm="rPIE", iterations=1, threads=1)
    continued = ["-m", "exitwave", "reconstruct", str(output), "-o", str(further), *command[8:]]
    continued[continued.index("9")] = str(processes.KILLED_AFTER + 1)  # the total
    assert [code for code, *_ in wait_for(start(*[continued] * 2))] == [0, 0]
    tiled = exitwave.open(further)
    assert tiled.errors[-1] == pytest.approx(last.result().errors[-1], rel=1e-4)
    assert np.linalg.norm(tiled.object - last.result().object) < 1e-4 * np.linalg.norm(tiled.object)


def test_halves_need_the_whole_object(monkeypatch, tmp_path):
    monkeypatch.setattr(exitwave, "iterate", lambda *_, **__: iter([SimpleNamespace(tile="rows 0 to 9 of 19")]))
    job = Job((), (tmp_path / "out.cxi",), as_is=True, frc=True)
    with pytest.raises(InputError, match=r"--frc .*whole object.*rows 0 to 9 of 19.*tiles=no"):
        run_job(job, Inputs((None,), {}, 0.0))


def test_tiles_accepts_yes_and_no_of_yaml():
    found = [make_recipe(split_settings(parse_settings([f"tiles={word}"]))[1]).tiles for word in ("yes", "no", "auto")]
    assert found == ["yes", "no", "auto"]
    with pytest.raises(InputError, match="tiles"):
        make_recipe({"tiles": "perhaps"})


def test_a_frame_stops_at_the_edge_of_its_tile_with_a_finding():
    problem, state = make_problem(frames=6, margin=4)
    tile = make_tile(
        problem.pixels[:, :1].astype(float), problem.used, problem.object_shape, problem.shape[0], 2, Isolated()
    )
    whole, problem = problem, dataclasses.replace(problem, tile=tile)
    state.positions = problem.pixels + np.array([3.0, 0.5]) * np.arange(6)[:, None] / 5
    free = clip_positions(state.positions, whole)
    state.positions = clip_positions(state.positions, problem)
    far = free[:, 0] > problem.pixels[:, 0] + 2
    np.testing.assert_allclose(state.positions[~far], free[~far])
    np.testing.assert_allclose(state.positions[far, 0], problem.pixels[far, 0] + 2)
    (finding,) = tile_limit_findings(state, problem)
    assert finding.code == "W236"
    assert f"{far.sum()} frames" in finding.found
    assert tile_limit_findings(state, whole) == ()
