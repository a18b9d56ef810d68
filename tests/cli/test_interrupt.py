"""Ctrl-C and SIGTERM on a running reconstruction: the partial result is saved."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import exitwave
from exitwave.simulation import simulate


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("interrupt") / "scan.cxi"
    simulate(frames=20, detector=128, step=150e-9).save(path)
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_partial_result(scan, tmp_path, number):
    output = tmp_path / "partial.cxi"
    command = [sys.executable, "-m", "exitwave", "reconstruct", scan, "-o", output, "--iterations", "1000000", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("iteration 1/"):
            os.kill(process.pid, number)
            break
    stdout, stderr = process.communicate(timeout=60)
    document = json.loads(stdout)
    saved = exitwave.open(output)
    assert process.returncode == 130
    assert "press Ctrl-C again to stop at once" in stderr
    assert "Traceback" not in stderr
    assert document["stopped_by"] == saved.provenance["stopped_by"] == "interrupted"
    assert 1 <= document["iterations"] == len(saved.errors) < 1_000_000
    assert np.isfinite(saved.object).all()
    assert sorted(os.listdir(tmp_path)) == ["partial.cxi", "partial.cxi.checkpoint"]
