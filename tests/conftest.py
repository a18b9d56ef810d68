"""Files that tests share, and the measured data where they are at hand."""

import os
import shutil
from pathlib import Path

import pytest
from samples import small_result, small_scan, small_truth

from exitwave.cxi.read import read

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def _written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    scan = small_scan()
    small_scan(truth=small_truth(scan)).save(folder / "scan.cxi")
    small_result(read(folder / "scan.cxi")).save(folder / "result.cxi")
    return folder


@pytest.fixture
def scan_file(_written: Path, tmp_path: Path) -> Path:
    """Return a good small scan file with a truth, free to be changed."""
    return Path(shutil.copy(_written / "scan.cxi", tmp_path / "scan.cxi"))


@pytest.fixture
def result_file(_written: Path, scan_file: Path) -> Path:
    """Return a good small result file whose frames are a link to `scan_file`, free to be changed."""
    return Path(shutil.copy(_written / "result.cxi", scan_file.with_name("result.cxi")))


@pytest.fixture(scope="session")
def measured() -> Path:
    """Return the folder of measured data, or skip."""
    folder = Path(os.environ.get("EXITWAVE_DATA", SHARED / "data"))
    if not folder.is_dir():
        pytest.skip(f"no measured data: {folder} does not exist; set EXITWAVE_DATA to the folder that has them")
    return folder


@pytest.fixture(scope="session")
def specification() -> str:
    """Return the text of the file schema's specification, or skip."""
    place = SHARED / "spec" / "ptychography-cxi-schema.md"
    if not place.is_file():
        pytest.skip(f"the specification is not at {place}")
    return place.read_text(encoding="utf-8")
