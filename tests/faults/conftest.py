"""A server of verbs, and a small scan and a result that the tests of faults share."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fork_server import Server, serving
from killing import ITERATE, SIMULATE


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with serving() as started:
        yield started


@pytest.fixture(scope="session")
def written(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with scan.cxi and result.cxi, which tests must not change."""
    folder = tmp_path_factory.mktemp("faults")
    for arguments in (SIMULATE, ("reconstruct", "scan.cxi", "-o", "result.cxi", *ITERATE, "--iterations", "2")):
        done = server.run(arguments, folder=folder)
        assert done.status == 0, done.output
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """Return a new folder with copies of scan.cxi and result.cxi."""
    return Path(shutil.copytree(written, tmp_path / "folder"))
