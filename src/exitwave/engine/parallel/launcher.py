"""Rank and meeting point of this process, from the environment variables that a launcher sets."""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exitwave.errors import InputError

RANK_AND_SIZE = (
    ("RANK", "WORLD_SIZE"),  # torchrun
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),  # mpiexec of Open MPI
    ("PMI_RANK", "PMI_SIZE"),  # mpiexec of MPICH, Intel MPI and PALS
    ("PALS_RANKID", "PALS_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # srun; a batch script outside any step has no size
)
"""Variables with the rank of a process and the number of processes, by launcher; the first complete pair is used."""
SIZE_ON_NODE = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "PALS_LOCAL_SIZE")
"""Variables with the number of processes on this node."""
JOB_ID = (("SLURM_JOB_ID", "SLURM_STEP_ID"), ("PMIX_NAMESPACE",), ("OMPI_MCA_ess_base_jobid",), ("PBS_JOBID",))
"""Variables that are the same for all processes of a run, and different for the next run."""
PORTS = range(20000, 30000)
"""Ports where processes meet if MASTER_PORT is not set; below the ports that systems assign."""


@dataclass(frozen=True)
class LaunchInfo:
    """Rank and meeting point of one of several processes."""

    rank: int
    """Number of this process, from 0."""
    size: int
    """Number of processes."""
    address: str
    """Host name of the first process."""
    port: int
    """Port on which the first process listens."""


def launch_info(environ: Mapping[str, str], parent: int) -> LaunchInfo | None:
    """Return rank and meeting point of this process; None: it is the only one.

    Parameters
    ----------
    environ : mapping
        The environment.
    parent : int
        Process id of the parent process, which is the same for all processes on one node.

    Raises
    ------
    InputError
        If there are several processes, and no variable gives the address where they meet.
    """
    for names in RANK_AND_SIZE:
        values = [environ.get(name, "") for name in names]
        if all(value.isdecimal() for value in values):
            rank, size = map(int, values)
            break
    else:
        return None
    return LaunchInfo(rank, size, *_meeting_point(environ, size, parent)) if size > 1 else None


def _meeting_point(environ: Mapping[str, str], size: int, parent: int) -> tuple[str, int]:
    """Return the address and the port where the processes meet."""
    address, key = environ.get("MASTER_ADDR", ""), _job_id(environ)
    if not address and _on_one_node(environ, size):
        address, key = "127.0.0.1", f"{key} {parent}"
    address = address or _first_node(environ)
    if not address:
        remedy = "Set MASTER_ADDR, for all processes, to the name of the node of the first process"
        raise InputError("The address where the processes meet is unknown", found=f"{size} processes", remedy=remedy)
    return address, int(environ.get("MASTER_PORT") or PORTS[zlib.crc32(key.encode()) % len(PORTS)])


def _job_id(environ: Mapping[str, str]) -> str:
    """Return a name that all processes of this run have in common, or an empty string."""
    known = (".".join(environ[name] for name in names) for names in JOB_ID if all(name in environ for name in names))
    return next(known, "")


def _on_one_node(environ: Mapping[str, str], size: int) -> bool:
    """Return whether all processes are on one node."""
    return environ.get("SLURM_STEP_NUM_NODES") == "1" or str(size) in (environ.get(name) for name in SIZE_ON_NODE)


def _first_node(environ: Mapping[str, str]) -> str:
    """Return the first node of a job of Slurm or PBS, or an empty string."""
    nodes = environ.get("SLURM_STEP_NODELIST") or environ.get("SLURM_JOB_NODELIST", "")
    if nodes:  # such as nid[0012-0013,0017],gpu3
        return re.sub(r"\[(\w+).*", r"\1", nodes).split(",")[0]
    node_file = Path(environ.get("PBS_NODEFILE") or "/")
    return node_file.read_text().split()[0] if node_file.is_file() else ""
