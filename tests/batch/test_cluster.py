"""The workers of a batch: how many there are, and what happens to a scan whose workers die."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributed import KilledWorker

from exitwave.batch import cluster


def test_a_scan_fails_after_three_workers_have_died():
    error = KilledWorker("run", SimpleNamespace(address="tcp://x"), cluster.ATTEMPTS - 1)
    future = SimpleNamespace(status="error", exception=lambda: error)
    row = cluster._row(future, SimpleNamespace(input=Path("large.cxi")))
    assert row.status == "failed"
    assert "3 workers died on this scan" in row.message


@pytest.mark.parametrize("jobs", [1, 3, 100])
@pytest.mark.parametrize("cores", [1, 2, 8, 64])
def test_workers_and_threads_share_the_cores(cores, jobs, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(cores))
    workers, threads = cluster.share_cores(jobs, None, None)
    assert 1 <= workers <= jobs
    assert cores // 2 < workers * threads <= cores
