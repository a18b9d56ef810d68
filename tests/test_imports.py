"""The structure of the package: no circle of imports between modules, and contracts that find a planted violation."""

import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import networkx
import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions and ``if TYPE_CHECKING`` count too."""
    graph = grimp.build_graph("exitwave", cache_dir=None)
    edges = [
        (module, other)
        for module in graph.modules
        for other in graph.find_modules_directly_imported_by(module)
        if other != "exitwave"  # whose names are imported when they are used
    ]
    circles = [
        sorted(each) for each in networkx.strongly_connected_components(networkx.DiGraph(edges)) if len(each) > 1
    ]
    assert circles == []


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of a copy of the package."""
    command = "import sys; sys.path.insert(0, 'src'); from importlinter.cli import lint_imports_command as lint; lint()"
    return subprocess.run([sys.executable, "-c", command, "--no-cache"], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("engine/problem.py", "import h5py"),
        ("engine/problem.py", "from exitwave.analysis import error"),
        ("figures/style.py", "from exitwave.cli import main"),
        ("cxi/read.py", "def hidden():\n    from exitwave.dialects import registry"),
    ],
)
def test_a_planted_violation_is_found(module: str, line: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with open(tmp_path / "src" / "exitwave" / module, "a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    found = linted(tmp_path)
    assert found.returncode == 1
    assert "BROKEN" in found.stdout
