"""The peers: programs to compare with, each in its own environment and its own process."""

import json
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class PeerMissingError(Exception):
    """A peer's environment cannot be made; the message has the reason."""


@dataclass(frozen=True)
class Peer:
    """A program to compare with."""

    name: str
    """Its name in the tables."""
    module: str
    """The module to import."""
    key: str
    """Part of the names of its files: KEY-requirements.txt, KEY_driver.py, .venv-KEY."""

    @property
    def variable(self) -> str:
        """The environment variable that names a Python with the peer installed; then no environment is made."""
        return f"EXITWAVE_{self.key.upper()}_PYTHON"


PTYCHI = Peer("pty-chi", "ptychi.api", "ptychi")
PTYLAB = Peer("PtyLab", "PtyLab", "ptylab")
PEERS = (PTYCHI, PTYLAB)


def interpreter(peer: Peer) -> Path:
    """Return a Python with the peer installed; the first call installs it (pty-chi: about 5 GB of disk).

    Raises
    ------
    PeerMissingError
        If it cannot be installed or imported here.
    """
    folder, requirements = HERE / f".venv-{peer.key}", HERE / f"{peer.key}-requirements.txt"
    named = os.environ.get(peer.variable)
    python = Path(named) if named else folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / f"installed-{requirements.stat().st_mtime_ns}"
    try:
        if not named and not done.exists():
            print(f"installing {peer.name} into {folder} (some minutes, once) ...", file=sys.stderr, flush=True)
            venv.create(folder, with_pip=True)
            call([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements])
            done.touch()
        call([python, "-c", f"import {peer.module}"])
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        raise PeerMissingError(str(error).strip().splitlines()[-1]) from error
    return python


def job(
    algorithm: str, threads: int, marks: list[int], save: Path | None = None, *, gpu: bool = False, **settings: Any
) -> dict[str, Any]:
    """Return one run of a peer; ``marks`` are the epochs at which the time is recorded, the last one ends the run."""
    save = str(save) if save else None
    return {"algorithm": algorithm, "threads": threads, "marks": marks, "save": save, "gpu": gpu, "settings": settings}


def run(peer: Peer, python: Path, data: Path, jobs: list[dict[str, Any]]) -> dict[str, Any]:
    """Run the jobs one after the other in one process; return the output of the driver (`driver.serve`)."""
    order, gpu = json.dumps({"data": str(data), "jobs": jobs}), any(order["gpu"] for order in jobs)
    return json.loads(call([python, HERE / f"{peer.key}_driver.py", order], gpu=gpu).splitlines()[-1])


def call(command: list[Any], *, gpu: bool = False) -> str:
    """Run a command without Exitwave's constraints, and by default without a GPU; return its output.

    Raises
    ------
    RuntimeError
        If the command fails, with its error output.
    """
    removed = ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT", "PYTHONPATH")
    environment = {k: v for k, v in os.environ.items() if k not in removed}
    environment |= {} if gpu else {"CUDA_VISIBLE_DEVICES": ""}
    words = [str(part) for part in command]
    done = subprocess.run(words, env=environment, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr or f"{words[0]} ended with {done.returncode}")
    return done.stdout
