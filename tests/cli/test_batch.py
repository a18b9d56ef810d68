"""``exitwave batch``: failures of a scan or a worker do not stop it, and finished scans are not repeated."""

import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from distributed import LocalCluster
from typer.testing import CliRunner

import exitwave
from exitwave.batch import cluster, journal
from exitwave.batch.task import Row
from exitwave.cli import app
from exitwave.simulation import simulate


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Three good scans and a truncated one."""
    folder = tmp_path_factory.mktemp("scans")
    paths = [folder / f"scan_{number}.cxi" for number in range(4)]
    for number, path in enumerate(paths):
        simulate(frames=12, detector=128, step=150e-9, seed=number).save(path)
    os.truncate(paths[-1], paths[-1].stat().st_size // 2)
    return paths


@pytest.fixture(scope="module")
def scheduler():
    """The address of a scheduler whose worker is a thread of this process, so that it starts quickly."""
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp://"
    ) as made:
        yield made.scheduler_address


@pytest.fixture(scope="module", autouse=True)
def _short_reports():
    """Make reports in this process short; those of other processes are complete."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exitwave.figures.report.write_report", lambda _, path, **__: path.write_text("a report"))
        yield


@pytest.fixture(scope="module")
def done(scans, scheduler, tmp_path_factory):
    """The folder of a batch, and its JSON document."""
    folder = tmp_path_factory.mktemp("batch") / "results"
    return folder, answer(scans, folder, scheduler, code=1)


def answer(scans, folder, scheduler, *options, code=0):
    settings = ["--iterations", 2, "--threads", 1, "--scheduler", scheduler, "--json"]
    ended = run("batch", *scans, "-o", folder, *settings, *options)
    assert ended.exit_code == code, ended.stderr
    return json.loads(ended.stdout)


def stamps(folder):
    return {path.name: journal.stamp(path) for path in folder.glob("*_result*")}


KILLER = """
import os, pathlib, signal
from distributed import WorkerPlugin

class KillAtSecondScan(WorkerPlugin):
    started = 0

    def transition(self, key, start, finish, **_):
        if finish == "executing" and str(key).startswith("execute"):
            self.started += 1
            if self.started == 2 and not pathlib.Path({marker!r}).exists():
                pathlib.Path({marker!r}).touch()
                os.kill(os.getpid(), signal.SIGKILL)

async def dask_setup(worker):
    await worker.plugin_add(KillAtSecondScan())
"""
"""A module that workers load when they start: the first worker that starts a second scan is killed at that moment."""


def test_a_worker_that_is_killed_and_a_corrupt_scan_do_not_stop_the_others(scans, tmp_path):
    (tmp_path / "killer.py").write_text(KILLER.format(marker=str(tmp_path / "killed")))
    environment = os.environ | {"DASK_DISTRIBUTED__WORKER__PRELOAD": str(tmp_path / "killer.py")}
    settings = ["--iterations", "20", "--threads", "1"]
    inputs = [scans[3], scans[0], scans[1]]  # the corrupt one ends first; its worker starts the last scan, and dies
    command = [sys.executable, "-m", "exitwave", "batch", *inputs, "-o", tmp_path / "out", "--workers", "2", *settings]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    stdout, stderr = process.communicate(timeout=300)
    first, *lines = stderr.splitlines()
    assert process.returncode == 1
    assert first == "starting 2 workers"
    assert "failed: scan_3.cxi is truncated" in lines[0]
    assert "a worker has died; its scan is repeated: scan_" in lines[1]
    assert len([line for line in lines[2:] if re.match(r"\[\d/3\] done: scan_[01].cxi: ", line)]) == 2
    assert len(lines) == 4
    assert "2 done, 1 failed" in stdout
    assert not list((tmp_path / "out").glob(".*"))
    assert "<!DOCTYPE html>" in (tmp_path / "out" / "scan_0_result_report.html").read_text(encoding="utf-8")
    assert run("reconstruct", scans[0], "-o", tmp_path / "alone.cxi", *settings).exit_code == 0
    one, other = exitwave.open(tmp_path / "alone.cxi"), exitwave.open(tmp_path / "out" / "scan_0_result.cxi")
    np.testing.assert_array_equal(one.object, other.object)
    assert one.recipe == other.recipe


def test_a_batch_lists_every_scan_and_each_result_has_its_own_command(scans, done):
    folder, document = done
    assert document["counts"] == {"done": 3, "already done": 0, "left out": 0, "diverged": 0, "failed": 1}
    assert [row["input"] for row in document["scans"]] == list(map(str, scans))
    assert [row["status"] for row in document["scans"]] == ["done"] * 3 + ["failed"]
    assert "truncated" in document["scans"][3]["message"]
    saved = exitwave.open(folder / "scan_1_result.cxi")
    assert document["scans"][1]["error"] == float(saved.errors[-1])
    command = f"exitwave reconstruct {scans[1]} -o {folder / 'scan_1_result.cxi'} --iterations 2 --threads 1"
    assert saved.provenance["command"] == command


def test_a_restart_repeats_no_finished_scan(scans, done, scheduler):
    folder, _ = done
    before = stamps(folder)
    again = answer(scans, folder, scheduler, code=1)
    assert (again["counts"]["already done"], again["counts"]["failed"]) == (3, 1)
    assert stamps(folder) == before
    report = folder / "scan_0_result_report.html"
    report.unlink()
    answer(scans[:3], folder, scheduler)
    assert report.exists()
    assert {name: stamp for name, stamp in stamps(folder).items() if name != report.name} == {
        name: stamp for name, stamp in before.items() if name != report.name
    }


def test_results_of_other_settings_are_replaced_only_with_overwrite_and_only_once(scans, scheduler, tmp_path):
    other = ["--set", "object_update.step=0.5"]
    answer(scans[:2], tmp_path, scheduler)
    before = stamps(tmp_path)
    refused = answer(scans[:2], tmp_path, scheduler, *other, code=2)["error"]
    assert "results of other settings" in refused["message"]
    assert stamps(tmp_path) == before
    one = answer(scans[:1], tmp_path, scheduler, *other, "--overwrite")
    assert one["counts"]["done"] == 1
    two = answer(scans[:2], tmp_path, scheduler, *other, "--overwrite")  # the other one has been stale since the first
    assert [row["status"] for row in two["scans"]] == ["already done", "already done"]


def test_a_result_whose_input_has_changed_does_not_count_as_done(scans, scheduler, tmp_path):
    scan = tmp_path / "scan.cxi"
    scan.write_bytes(scans[0].read_bytes())
    answer([scan], tmp_path / "out", scheduler)
    scan.write_bytes(scans[1].read_bytes())
    failed = answer([scan], tmp_path / "out", scheduler, code=1)["scans"][0]
    assert "The input may have changed" in failed["message"]
    assert answer([scan], tmp_path / "out", scheduler, "--overwrite")["counts"]["done"] == 1


def test_results_among_the_inputs_are_left_out(done, scheduler, tmp_path):
    document = answer([done[0] / "scan_0_result.cxi"], tmp_path, scheduler)
    assert document["counts"]["left out"] == 1


def test_unusable_arguments_are_refused_before_any_work(scans, tmp_path, monkeypatch):
    twice = run("batch", scans[0], scans[0], "-o", tmp_path)
    assert twice.exit_code == 2
    assert "same name" in twice.stderr
    assert run("batch", scans[0], "-o", tmp_path, "--algorithm", "magic").exit_code == 2
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(cluster, "CONNECT_TIMEOUT", "200ms")
    alone = run("batch", scans[0], "-o", tmp_path, "--scheduler", "tcp://127.0.0.1:9")
    assert alone.exit_code == 2
    assert "No scheduler answers" in alone.stderr
    monkeypatch.setitem(sys.modules, "distributed", None)
    missing = run("batch", scans[0], "-o", tmp_path)
    assert missing.exit_code == 2
    assert "pip install 'exitwave[dask]'" in missing.stderr


def test_ctrl_c_stops_the_workers_and_prints_how_to_continue(scans, tmp_path):
    command = [sys.executable, "-m", "exitwave", "batch", *scans[:2], "-o", tmp_path, "--iterations", "1000000"]
    process = subprocess.Popen([*command, "--workers", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline() == "starting 1 workers\n"
    os.kill(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted with 0 of 2 scans done. Run the same command to continue" in stdout
    assert "Traceback" not in stderr


def test_finished_scans_are_reported_after_ctrl_c(scans, done, scheduler, monkeypatch):
    def interrupt(client, tasks, *_):
        yield Row(str(tasks[1].input), "done", error=0.5)
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster, "execute_all", interrupt)
    document = answer(scans, done[0], scheduler, code=130)
    assert document["interrupted"]
    assert [row["input"] for row in document["scans"]] == [str(scans[1])]


def test_the_summary_page_has_a_row_for_every_scan(scans, done, scheduler, tmp_path):
    folder, _ = done
    answer(scans, folder, scheduler, code=1)
    page = (folder / "batch.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<img src="data:image/png;base64,[^"]+" alt="Phase of scan_\d\.cxi">', page)) == 3
    for link in re.findall(r'href="([^"]+)"', page):
        assert (folder / link).is_file()
    assert "scan_3.cxi is truncated" in page
    assert "<script" not in page
