"""The help texts, and that they load no heavy package."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from exitwave import __version__
from exitwave.cli import app

VERBS = ["demo", "simulate", "inspect", "validate", "prepare", "reconstruct", "batch"]
VERBS += ["hpc-script", "compare", "plot", "report", "doctor"]
HEAVY = ["numpy", "scipy", "h5py", "hdf5plugin", "numba", "pyfftw", "skimage", "matplotlib", "pydantic", "yaml"]
HEAVY += ["jinja2", "dask", "distributed"]


def test_importing_the_command_line_loads_nothing_heavy():
    code = "import sys, exitwave.cli; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "exitwave" in loaded
    assert not set(HEAVY) & set(loaded)


def test_help_loads_nothing_heavy():
    code = (
        "import sys, exitwave.cli as c\ntry:\n    c.app(['--help'])\nexcept SystemExit:\n"
        "    print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "reconstruct" in done.stdout
    assert not set(HEAVY) & set(done.stderr.split())


def test_help_lists_all_verbs_without_cutting_their_description():
    text = CliRunner().invoke(app, ["--help"]).stdout
    lines = {line.split()[0]: line for line in text.partition("Commands:")[2].splitlines() if line.strip()}
    assert all(verb in lines for verb in VERBS)
    assert not any("..." in line for line in lines.values())


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_json(verb):
    done = CliRunner().invoke(app, [verb, "--help"])
    assert done.exit_code == 0
    assert "--json" in done.stdout


def test_version():
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"exitwave {__version__}\n")


def test_python_dash_m_is_the_command():
    done = subprocess.run([sys.executable, "-m", "exitwave", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"exitwave {__version__}\n"
