"""The common part of the peers' drivers: read jobs, write seconds, objects and probes. Needs NumPy only.

`peer.py` runs a driver with the Python of the peer's own environment:

    python ptychi_driver.py ORDER     ORDER: JSON {"data": NPZ, "jobs": [JOB, ...]}

The NPZ file is written by `scans.save_for_peer`. A job is {"algorithm", "settings", "threads", "marks", "save"}; marks
are the epochs after which the elapsed seconds are recorded and, where "save" names a file, object and probe too.
"""

import json
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

Marks = Iterator[tuple[float, np.ndarray, np.ndarray]]
"""At each mark: the seconds of iterating so far, the object (rows, columns) and the probe (modes, ny, nx), for a
unitary Fourier transform."""


def serve(reconstruct: Callable[[dict[str, Any], dict[str, Any]], Marks], packages: tuple[str, ...]) -> None:
    """Run the jobs of the command line; print seconds at the marks, the peak of memory in bytes, and versions."""
    order = json.loads(sys.argv[1])
    with np.load(order["data"]) as file:
        data = dict(file)
    seconds = []
    for job in order["jobs"]:
        spent, objects, probes = zip(*reconstruct(data, job), strict=True)
        if job["save"]:
            np.savez(job["save"], objects=np.stack(objects), probes=np.stack(probes))
        seconds.append(spent)
    versions = {name: version(name) for name in packages}
    print(json.dumps({"seconds": seconds, "peak": peak_memory(), "versions": versions}))


def peak_memory() -> int:
    """Return the largest resident set of this process in bytes.

    On Linux `resource.getrusage` may return that of the parent process, which a child inherits; /proc does not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
