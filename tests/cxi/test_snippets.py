"""The Python examples of the specification run unchanged on written files."""

import re
import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from samples import small_result

from exitwave.cxi.read import read


@pytest.mark.parametrize("kind", ["scan", "result"])
def test_the_examples_of_the_specification_run_unchanged(
    kind: str, specification: str, scan_file: Path, result_file: Path, monkeypatch, capsys
) -> None:
    matplotlib.use("Agg")
    monkeypatch.chdir(scan_file.parent)
    shutil.copy(scan_file if kind == "scan" else result_file, "ptycho_scan_001.cxi")
    scan = read(scan_file)
    names: dict = {"recon_object": small_result(scan).object}
    snippets = re.findall(r"```python\n(.*?)```", specification, re.DOTALL)
    assert len(snippets) == 6
    for snippet in snippets:
        exec(compile(snippet, "specification", "exec"), names)
    matplotlib.pyplot.close("all")
    assert names["energy_eV"] == scan.energy
    assert names["wavelength"] == scan.wavelength
    np.testing.assert_array_equal(names["positions"], scan.positions)
    np.testing.assert_array_equal(names["patterns"], scan.patterns[:])
    assert (names["patterns_masked"][:, scan.detector.mask == 1] == 0).all()
    assert "shape=(200, 3), dtype=float64" in capsys.readouterr().out
