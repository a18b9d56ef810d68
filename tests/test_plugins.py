"""The register of items from this package, from entry points and from the running program."""

import sys
from pathlib import Path

import pytest

from exitwave.engine.algorithms.algorithm import Algorithm
from exitwave.errors import InputError
from exitwave.plugins import Register


def installed(folder: Path, module: str) -> Register[Algorithm]:
    """Install a package with an algorithm called ``other``; return a register that finds its entry point."""
    (folder / "other_algorithm.py").write_text(module, encoding="utf-8")
    about = folder / "other_algorithm-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other-algorithm\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text("[exitwave.test]\nother = other_algorithm:ITEM\n", encoding="utf-8")
    return Register(Algorithm, "an algorithm", "exitwave.engine.algorithms", "ALGORITHM", "exitwave.test")


@pytest.mark.parametrize(
    "module",
    [
        "ITEM = 7",
        "import a_package_that_does_not_exist",
        "from exitwave import Algorithm\nITEM = Algorithm('another name', print)",
    ],
)
def test_a_broken_entry_point_is_reported_every_time(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register = installed(tmp_path, module)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "other_algorithm", raising=False)
    for _ in range(2):
        with pytest.raises(InputError, match=r"other_algorithm:ITEM.*cannot be used.*exitwave\.test"):
            register.all()
    monkeypatch.delitem(sys.modules, "other_algorithm", raising=False)


def test_names_are_found_in_any_case_and_similar_ones_are_suggested() -> None:
    register = Register(Algorithm, "an algorithm", "exitwave.engine.algorithms", "ALGORITHM", "exitwave.test")
    assert register.get("lsq-ml").name == "LSQ-ML"
    assert list(register.all()) == sorted(register.all(), key=str.lower)
    with pytest.raises(InputError, match=r"no such algorithm \(rPIEE\)\. Did you mean rPIE\?"):
        register.get("rPIEE")
