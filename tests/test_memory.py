"""Predicted sizes are compared with the memory that machine, control group and limits of resources leave."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from samples import small_scan

import exitwave
from exitwave.errors import InputError
from exitwave.jobs.failures import as_exitwave_error
from exitwave.memory import available_memory, cgroup_room, require_memory


def _group(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


def test_the_smallest_limit_of_the_control_groups_above_a_process_counts(tmp_path: Path) -> None:
    stat = "anon 5\ninactive_file 100\nactive_file 7"
    _group(tmp_path / "jobs" / "one", memory__max="max", memory__current=400, memory__stat=stat)
    _group(tmp_path / "jobs", memory__max=1000, memory__current=600, memory__stat=stat)
    assert cgroup_room(tmp_path, "0::/jobs/one\n") == 1000 - 600 + 100
    assert cgroup_room(tmp_path, "0::/other\n") == float("inf")
    assert cgroup_room(tmp_path, "") == float("inf")


def test_control_groups_of_version_1_and_of_containers_are_read(tmp_path: Path) -> None:
    stat = "total_inactive_file 30\ninactive_file 1"
    files = {"memory__limit_in_bytes": 500, "memory__usage_in_bytes": 100, "memory__stat": stat}
    _group(tmp_path / "memory", **files)
    lines = "9:name=systemd:/\n4:memory:/docker/abc\n0::/docker/abc\n"
    assert cgroup_room(tmp_path, lines) == 500 - 100 + 30
    _group(tmp_path / "memory", **files | {"memory__limit_in_bytes": 2**63 - 4096})
    assert cgroup_room(tmp_path, lines) == float("inf")
    _group(tmp_path / "memory", **files | {"memory__usage_in_bytes": "damaged"})
    assert cgroup_room(tmp_path, lines) == float("inf")


def test_the_available_memory_is_plausible_and_the_check_names_both_sizes() -> None:
    assert 1e6 < available_memory() < 1e15
    require_memory(1.0, "The frames", remedy="Crop them")
    with pytest.raises(InputError, match=r"The frames would need more memory.*1e\+12 GB for a test, .* free\)\. Crop"):
        require_memory(1e21, "The frames", details="a test", remedy="Crop them")


def test_a_reconstruction_that_does_not_fit_is_refused_before_loading_with_what_would_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scan = small_scan(200, 64)
    monkeypatch.setattr("exitwave.reconstruction.memory.available_memory", lambda _: 62.4e6)
    monkeypatch.setattr("exitwave.reconstruction.memory.LIBRARIES", 60e6)
    monkeypatch.setattr("exitwave.reconstruction.setup.load_problem", lambda *_, **__: pytest.fail("was loaded"))
    with pytest.raises(
        InputError, match=r"200 frames of 64 x 64 .*62\.4 MB are free.* would fit: .*--crop \d+"
    ) as caught:
        exitwave.reconstruct(scan, iterations=1, threads=1)
    assert caught.value.exit_code == 2


def test_a_library_that_fails_for_lack_of_memory_is_reported_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Not enough memory" in str(as_exitwave_error(MemoryError("unable to allocate")))
    assert "Unexpected RuntimeError" in str(as_exitwave_error(RuntimeError("a fault")))
    monkeypatch.setattr("exitwave.jobs.failures.available_memory", lambda: 1e6)
    assert "Not enough memory" in str(as_exitwave_error(RuntimeError("can't start new thread")))


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
from exitwave.cli import app
app(sys.argv[2:])
"""


@pytest.mark.parametrize("megabytes", [640, 720, 800])
def test_a_limit_of_the_address_space_gives_a_message_or_a_result(megabytes: int, tmp_path: Path) -> None:
    small_scan(20, 32).save(tmp_path / "scan.cxi")
    words = [
        "reconstruct",
        "scan.cxi",
        "-o",
        "result.cxi",
        "--iterations",
        "1",
        "--threads",
        "1",
        "--algorithm",
        "mPIE",
    ]
    call = [sys.executable, "-c", LIMITED, str(megabytes * 10**6), *words]
    run = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    if run.returncode == 0:
        assert np.isfinite(exitwave.open(tmp_path / "result.cxi").object).all()  # type: ignore[union-attr]
    else:
        assert run.returncode in (2, 3), run.stderr
        assert "memory" in run.stderr
        assert "Unexpected" not in run.stderr
        assert not (tmp_path / "result.cxi").exists()
