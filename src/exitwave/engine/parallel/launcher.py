"""Which of several processes this one is, from what their launcher leaves in the environment."""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exitwave.errors import InputError

LAUNCHERS = (
    ("RANK", "WORLD_SIZE"),  # torchrun
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),  # mpiexec of Open MPI
    ("PMI_RANK", "PMI_SIZE"),  # mpiexec of MPICH, Intel MPI and PALS
    ("PALS_RANKID", "PALS_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # srun; a batch script outside any step has no size
)
"""Where a launcher says the number of a process and how many there are; the first that does both counts."""
ON_ONE_NODE = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "PALS_LOCAL_SIZE")
"""Where it says how many of them are on this node."""
JOBS = (("SLURM_JOB_ID", "SLURM_STEP_ID"), ("PMIX_NAMESPACE",), ("OMPI_MCA_ess_base_jobid",), ("PBS_JOBID",))
"""What is the same for all processes of a run, and another for the next run."""
PORTS = range(20000, 30000)
"""Ports on which processes meet, where nobody says which; below those that systems give away."""


@dataclass(frozen=True)
class LaunchInfo:
    """The place of this process among several."""

    rank: int
    """Its number, from 0."""
    size: int
    """How many there are."""
    address: str
    """Where the first of them listens."""
    port: int
    """The port there."""


def find(environ: Mapping[str, str], parent: int) -> LaunchInfo | None:
    """Return the place of this process, or None where it is the only one.

    Parameters
    ----------
    environ : mapping
        The environment.
    parent : int
        Process id of what has started this process: on one node the same for all.

    Raises
    ------
    InputError
        If there are several processes, and nothing says where they can meet.
    """
    for names in LAUNCHERS:
        words = [environ.get(name, "") for name in names]
        if all(word.isdecimal() for word in words):
            rank, size = map(int, words)
            break
    else:
        return None
    return LaunchInfo(rank, size, *_meeting(environ, size, parent)) if size > 1 else None


def _meeting(environ: Mapping[str, str], size: int, parent: int) -> tuple[str, int]:
    """Return the address and the port where the processes meet."""
    address, key = environ.get("MASTER_ADDR", ""), _job(environ)
    if not address and _is_local(environ, size):
        address, key = "127.0.0.1", f"{key} {parent}"
    address = address or _first_node(environ)
    if not address:
        remedy = "Set MASTER_ADDR to the name of the node that has the first process, on all of them"
        raise InputError("Nothing says where the processes can meet", found=f"{size} processes", remedy=remedy)
    return address, int(environ.get("MASTER_PORT") or PORTS[zlib.crc32(key.encode()) % len(PORTS)])


def _job(environ: Mapping[str, str]) -> str:
    """Return what all processes of this run have in common."""
    known = (".".join(environ[name] for name in names) for names in JOBS if all(name in environ for name in names))
    return next(known, "")


def _is_local(environ: Mapping[str, str], size: int) -> bool:
    """Say whether all processes are on one node."""
    return environ.get("SLURM_STEP_NUM_NODES") == "1" or str(size) in (environ.get(name) for name in ON_ONE_NODE)


def _first_node(environ: Mapping[str, str]) -> str:
    """Return the first node of a job of Slurm or PBS, or nothing."""
    nodes = environ.get("SLURM_STEP_NODELIST") or environ.get("SLURM_JOB_NODELIST", "")
    if nodes:  # such as nid[0012-0013,0017],gpu3
        return re.sub(r"\[(\w+).*", r"\1", nodes).split(",")[0]
    listed = Path(environ.get("PBS_NODEFILE") or "/")
    return listed.read_text().split()[0] if listed.is_file() else ""
