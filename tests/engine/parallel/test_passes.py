"""One reconstruction in several processes: the same result, and one end."""

import json

import numpy as np
import processes
import pytest
from problems import make_problem, torch
from processes import ends, start

import exitwave
from exitwave.engine.parallel.communicator import ONE_PROCESS, Communicator
from exitwave.engine.parallel.launcher import PORTS, LaunchInfo, find
from exitwave.engine.parallel.passes import check
from exitwave.engine.recipe import make_recipe
from exitwave.errors import InputError


@torch
def test_two_processes_do_what_one_does(tmp_path):
    started = start(*[[processes.__file__, "recipes", str(tmp_path / "two")]] * 2)
    alone = processes.reconstruct()
    assert [code for code, *_ in ends(started)] == [0, 0]
    first, second = (np.load(tmp_path / f"two-{rank}.npz") for rank in (0, 1))
    for name, one in alone.items():
        assert (first[name] == second[name]).all(), name
        assert np.linalg.norm(first[name] - one) < 1e-4 * np.linalg.norm(one), name


@torch
def test_every_frame_is_read_by_the_process_that_carries_it_and_all_know_of_it(tmp_path):
    started = start(*[[processes.__file__, "posed", str(tmp_path / "of")]] * 3)
    alone = processes.posed(tmp_path)
    assert [code for code, *_ in ends(started)] == [0, 0, 0]
    ranks = [np.load(tmp_path / f"of-{rank}.npz") for rank in range(3)]
    for name, one in alone.items():
        if name.endswith(", read"):
            assert sorted(one) == sorted(np.concatenate([each[name] for each in ranks])) == list(range(len(one))), name
        elif name.endswith(", held"):
            assert sum(each[name] for each in ranks) == one, name
            assert max(each[name] for each in ranks) <= one // 3 + 2, name
        else:
            for each in ranks:
                np.testing.assert_array_equal(each[name], one, name)


@torch
def test_the_error_of_one_process_ends_all_with_its_words(scan_file, tmp_path):
    good = ["-m", "exitwave", "reconstruct", str(scan_file), "-o", str(tmp_path / "out.cxi"), "--as-is", "--json"]
    bad = [*good[:3], str(tmp_path / "gone.cxi"), *good[4:]]
    first, second = ends(start(good, bad))
    assert (first[0], second[0]) == (3, 2)
    error = json.loads(first[1])["error"]
    assert error["message"].startswith("Process 2 of 2 has failed: ")
    assert "gone.cxi" in error["message"]
    assert "Process 2 of 2" in second[2]
    assert not (tmp_path / "out.cxi").exists()


@torch
def test_a_process_that_is_killed_ends_all_and_leaves_a_result(tmp_path):
    scan, output = tmp_path / "scan.cxi", tmp_path / "out.cxi"
    exitwave.simulate(frames=24, detector=128, photons=1e6, seed=3).save(scan)
    command = [processes.__file__, "dying", "reconstruct", str(scan), "-o", str(output), "--probe", "file", "--json"]
    first, second = ends(start(*[[*command, "--algorithm", "rPIE", "--iterations", "9", "--threads", "1"]] * 2))
    assert (first[0], second[0]) == (3, -9)
    message = json.loads(first[1])["error"]["message"]
    assert message.startswith("Another process of this run has died")
    assert f"The partial result was saved after {processes.DEATH} of 9 iterations: {output}" in message
    result = exitwave.open(output)
    assert len(result.errors) == processes.DEATH
    whole = exitwave.reconstruct(
        exitwave.open(scan), algorithm="rPIE", iterations=processes.DEATH, decay=0.0, threads=1, probe="file"
    )
    assert result.errors[-1] == pytest.approx(whole.errors[-1], rel=0.1)


def test_what_cannot_be_shared_out_is_refused():
    problem, _ = make_problem(frames=3)
    communicator = Communicator()
    communicator.size = 2
    with pytest.raises(InputError, match=r"ePIE in 2 processes"):
        check(make_recipe({"algorithm": "ePIE"}), problem, communicator)
    check(make_recipe({"algorithm": "rPIE"}), problem, communicator)
    check(make_recipe({"algorithm": "ePIE"}), problem, ONE_PROCESS)
    communicator.size = 4
    with pytest.raises(InputError, match=r"4 processes for 3 frames"):
        check(make_recipe({"algorithm": "rPIE"}), problem, communicator)


TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "MASTER_ADDR": "nid7", "MASTER_PORT": "29500"}
SLURM = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "8"}


def test_processes_are_found_as_their_launchers_tell(tmp_path):
    nodes = tmp_path / "nodes"
    nodes.write_text("x3001c0s7.polaris\nx3002c0s7.polaris\n")
    environments = {
        "nid7": TORCHRUN,
        "nid0012": SLURM | {"SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NODELIST": "nid[0012-0013,0020]"},
        "gpu-3": SLURM | {"SLURM_STEP_NODELIST": "gpu-3,gpu-[7-8]"},
        "x3001c0s7.polaris": {"PMI_RANK": "3", "PMI_SIZE": "8", "PBS_JOBID": "12.pbs", "PBS_NODEFILE": str(nodes)},
        "127.0.0.1": {"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_LOCAL_SIZE": "8"},
    }
    for address, environ in environments.items():
        place = find(environ, 17)
        assert (place.rank, place.size, place.address) == (3, 8, address)
        assert place == find(environ, 17)
        assert place.port == 29500 if environ is TORCHRUN else place.port in PORTS
    ports = {find({**environments["127.0.0.1"]}, parent).port for parent in range(40)}
    assert len(ports) > 30  # runs beside each other on one node


@pytest.mark.parametrize(
    "environ",
    [
        {},
        TORCHRUN | {"WORLD_SIZE": "1"},
        {"RANK": "1"},
        {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"},
    ],
    ids=["nothing", "one process", "half of it", "a batch script outside srun"],
)
def test_one_process_is_alone(environ):
    assert find(environ, 17) is None


def test_without_a_place_to_meet_they_are_refused():
    with pytest.raises(InputError, match="MASTER_ADDR"):
        find({"PMI_RANK": "0", "PMI_SIZE": "2"}, 17)
    assert find({"PMI_RANK": "0", "PMI_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "9"}, 17) == LaunchInfo(
        0, 2, "a", 9
    )


def test_without_torch_several_processes_say_what_to_install(monkeypatch):
    from importlib import util

    from exitwave.engine.parallel.communicator import TorchCommunicator

    monkeypatch.setattr(util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"2 processes.*exitwave\[cuda\]"):
        TorchCommunicator(LaunchInfo(0, 2, "127.0.0.1", 1))
