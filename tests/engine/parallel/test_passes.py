"""Reconstruction in several processes: the result of one process, errors, and lost processes."""

import json

import numpy as np
import processes
import pytest
from problems import torch
from processes import start, wait_for

import exitwave


@torch
def test_two_processes_give_the_result_of_one(tmp_path):
    started = start(*[[processes.__file__, "recipes", str(tmp_path / "two")]] * 2)
    single = processes.reconstruct()
    assert [code for code, *_ in wait_for(started)] == [0, 0]
    first, second = (np.load(tmp_path / f"two-{rank}.npz") for rank in (0, 1))
    for name, one in single.items():
        assert (first[name] == second[name]).all(), name
        assert np.linalg.norm(first[name] - one) < 1e-4 * np.linalg.norm(one), name


@torch
def test_two_processes_resume_with_the_same_bits(tmp_path):
    started = start(*[[processes.__file__, "resume", str(tmp_path / "two")]] * 2)
    assert [code for code, *_ in wait_for(started)] == [0, 0]
    for rank in (0, 1):
        same = dict(np.load(tmp_path / f"two-{rank}.npz"))
        assert same.keys() == processes.RESUMED.keys()
        assert all(same.values()), same


@torch
def test_each_frame_is_read_by_one_process_and_all_processes_have_the_same_problem(tmp_path):
    started = start(*[[processes.__file__, "loading", str(tmp_path / "of")]] * 3)
    single = processes.load(tmp_path)
    assert [code for code, *_ in wait_for(started)] == [0, 0, 0]
    ranks = [np.load(tmp_path / f"of-{rank}.npz") for rank in range(3)]
    for name, one in single.items():
        if name.endswith(", read"):
            assert sorted(one) == sorted(np.concatenate([each[name] for each in ranks])) == list(range(len(one))), name
        elif name.endswith(", held"):
            assert sum(each[name] for each in ranks) == one, name
            assert max(each[name] for each in ranks) <= one // 3 + 2, name
        else:
            for each in ranks:
                np.testing.assert_array_equal(each[name], one, name)


@torch
def test_an_error_in_one_process_ends_all_with_its_message(scan_file, tmp_path):
    good = ["-m", "exitwave", "reconstruct", str(scan_file), "-o", str(tmp_path / "out.cxi"), "--as-is", "--json"]
    bad = [*good[:3], str(tmp_path / "gone.cxi"), *good[4:]]
    first, second = wait_for(start(good, bad))
    assert (first[0], second[0]) == (3, 2)
    error = json.loads(first[1])["error"]
    assert error["message"].startswith("Process 2 of 2 has failed: ")
    assert "gone.cxi" in error["message"]
    assert "Process 2 of 2" in second[2]
    assert not (tmp_path / "out.cxi").exists()


@torch
def test_after_a_process_is_killed_the_others_save_a_result_and_end(tmp_path):
    scan, output = tmp_path / "scan.cxi", tmp_path / "out.cxi"
    exitwave.simulate(frames=24, detector=128, photons=1e6, seed=3).save(scan)
    command = [processes.__file__, "killed", "reconstruct", str(scan), "-o", str(output), "--probe", "file", "--json"]
    first, second = wait_for(start(*[[*command, "--algorithm", "rPIE", "--iterations", "9", "--threads", "1"]] * 2))
    assert (first[0], second[0]) == (3, -9)
    message = json.loads(first[1])["error"]["message"]
    assert message.startswith("Another process of this run has died")
    assert f"The partial result was saved after {processes.KILLED_AFTER} of 9 iterations: {output}" in message
    result = exitwave.open(output)
    assert len(result.errors) == processes.KILLED_AFTER
    whole = exitwave.reconstruct(
        exitwave.open(scan), algorithm="rPIE", iterations=processes.KILLED_AFTER, decay=0.0, threads=1, probe="file"
    )
    assert result.errors[-1] == pytest.approx(whole.errors[-1], rel=0.1)
