"""pty-chi as the peer: an environment of its own, and runs in a process of its own."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FOLDER = HERE / ".venv-ptychi"
REQUIREMENTS = HERE / "ptychi-requirements.txt"
VARIABLE = "EXITWAVE_PTYCHI_PYTHON"
"""Names a Python that has pty-chi already; then no environment is made."""
DEFAULT_BATCH = 100
"""The peer's own batch size."""
DOCUMENTED_STEP, DEFAULT_STEP = 0.1, 1.0
"""Step of the object in the peer's rPIE example, and where nothing is said."""


class PeerMissingError(Exception):
    """The peer's environment cannot be made; the message says why."""


def interpreter() -> Path:
    """Return a Python that has pty-chi, made at the first call in about 5 GB of disk.

    Raises
    ------
    PeerMissingError
        If it cannot be installed or imported here.
    """
    named = os.environ.get(VARIABLE)
    python = Path(named) if named else FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = FOLDER / f"installed-{REQUIREMENTS.stat().st_mtime_ns}"
    try:
        if not named and not done.exists():
            print(f"installing pty-chi into {FOLDER} (some minutes, once) ...", file=sys.stderr, flush=True)
            venv.create(FOLDER, with_pip=True)
            _call([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS])
            done.touch()
        _call([python, "-c", "import ptychi.api"])
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        raise PeerMissingError(str(error).strip().splitlines()[-1]) from error
    return python


def job(threads: int, batch: int, epochs: int, *, step: float = DOCUMENTED_STEP, save: Path | None = None) -> dict:
    """Return one run of the peer: ``epochs`` passes, of which all but the first are timed."""
    return {"threads": threads, "batch": batch, "epochs": epochs, "step": step, "save": str(save) if save else None}


def run(python: Path, data: Path, jobs: list[dict]) -> dict[str, Any]:
    """Do the jobs one after the other in one process; return seconds per epoch and versions."""
    order = json.dumps({"data": str(data), "jobs": jobs})
    return json.loads(_call([python, HERE / "ptychi_rpie.py", order]).splitlines()[-1])


def _call(command: list[Any]) -> str:
    """Run a command without the constraints of our own environment and without a GPU; return what it prints.

    Raises
    ------
    RuntimeError
        With what the command complained about, if it fails.
    """
    ours = ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT", "PYTHONPATH")
    environment = {k: v for k, v in os.environ.items() if k not in ours} | {"CUDA_VISIBLE_DEVICES": ""}
    words = [str(part) for part in command]
    done = subprocess.run(words, env=environment, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr or f"{words[0]} ended with {done.returncode}")
    return done.stdout
