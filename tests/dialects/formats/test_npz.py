"""NPZ: named arrays, written and read again; optional arrays may be missing."""

from pathlib import Path

import numpy as np
from samples import small_result, small_scan

import exitwave
from exitwave.dialects.registry import DIALECTS
from exitwave.scan import Result, Scan


def test_archive_has_the_documented_names_and_is_read_again(tmp_path: Path) -> None:
    result = small_result(small_scan())
    write = DIALECTS.all()["npz"].write
    assert write is not None
    (file,) = write(result, tmp_path / "result.npz", False).files
    with np.load(file) as arrays:
        assert {"frames", "positions", "energy", "mask", "dark", "probe", "object", "x", "y"} <= set(arrays)
        assert np.array_equal(arrays["object"], result.object)
        assert arrays["positions"].shape == (len(result.positions), 3)
        required = {name: arrays[name] for name in ("frames", "positions", "energy", "distance", "pixel_size")}
    assert isinstance(exitwave.open(file), Result)
    np.savez_compressed(tmp_path / "own.npz", **required)
    scan = exitwave.open(tmp_path / "own.npz")
    assert isinstance(scan, Scan)
    assert np.array_equal(scan.patterns[:], result.scan.patterns[:])
