"""Memory that this process may still allocate, and the check of a predicted size before it is allocated.

The limits are the memory of the machine, that of the control group of the process (cgroup, versions 1 and 2; containers
and batch systems set it), and the limits of resources (``ulimit -v`` and ``ulimit -d``).
"""

from pathlib import Path

from exitwave.errors import InputError
from exitwave.units import show

CGROUPS = Path("/sys/fs/cgroup")
"""Where the control groups are mounted."""
MEMBERSHIP = Path("/proc/self/cgroup")
"""The control groups of this process."""
UNLIMITED = 2**60
"""A limit of a control group from this number of bytes on means that there is none."""


def available_memory(unloaded: float = 0.0) -> float:
    """Return the number of bytes that this process may still allocate without swapping.

    Parameters
    ----------
    unloaded : float
        Bytes of address space that libraries and threads will take that are not loaded yet; most of them are never
        written to, so only the limit of the address space counts them.
    """
    import psutil

    process = psutil.Process().memory_info()
    rooms = [
        float(psutil.virtual_memory().available),
        _room_of_limits(process.vms, getattr(process, "data", 0)) - unloaded,
    ]
    try:
        groups = MEMBERSHIP.read_text(encoding="utf-8")
    except OSError:
        groups = ""
    rooms.append(cgroup_room(CGROUPS, groups))
    return max(0.0, min(rooms))


def require_memory(needed: float, what: str, *, where: object = "", details: str = "", remedy: str) -> None:
    """Raise InputError if a predicted size is larger than the memory that this process may still allocate.

    Parameters
    ----------
    needed : float
        Predicted size in bytes.
    what : str
        What needs the memory, as the subject of a sentence, such as "The frames".
    where : object
        File or setting, for the message.
    details : str
        Why so much is needed, such as "200 frames of 512 x 512 pixels".
    remedy : str
        What would fit, as an instruction.
    """
    available = available_memory()
    if needed > available:
        parts = [f"{show(needed, 'B', 3)}" + (f" for {details}" if details else ""), f"{show(available, 'B', 3)} free"]
        what = f"{what} would need more memory than there is"
        raise InputError(what, where=where, found=", ".join(parts), remedy=remedy)


def cgroup_room(root: Path, membership: str) -> float:
    """Return the bytes that the control groups of a process leave to it; infinity if they set no limit.

    Parameters
    ----------
    root : Path
        Where the control groups are mounted.
    membership : str
        The content of ``/proc/self/cgroup``.
    """
    room = float("inf")
    for line in membership.splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        base = root / "memory" if controllers else root
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        names = names if controllers else ("memory.max", "memory.current", "inactive_file")
        own = Path(*[part for part in path.split("/") if part and part != ".."])
        for folder in (own, *own.parents):  # a container may see its own group as the root
            room = min(room, _room(base / folder, *names))
    return room


def _room(folder: Path, limit: str, usage: str, cache: str) -> float:
    """Return the bytes that one control group leaves; file caches that are not in use count as free."""
    try:
        most = (folder / limit).read_text(encoding="ascii").strip()
        if not most.isdecimal() or int(most) >= UNLIMITED:
            return float("inf")
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        unused = sum(int(line.split()[1]) for line in lines if line.split()[0] == cache)
        return float(int(most) - int((folder / usage).read_text(encoding="ascii")) + unused)
    except (OSError, ValueError, IndexError):
        return float("inf")


def _room_of_limits(size: int, data: int) -> float:
    """Return the bytes that the limits of resources leave to this process, whose sizes are given in bytes."""
    try:
        import resource
    except ImportError:  # not on Windows
        return float("inf")
    room = float("inf")
    for limit, used in ((resource.RLIMIT_AS, size), (resource.RLIMIT_DATA, data)):
        soft, _ = resource.getrlimit(limit)
        room = room if soft == resource.RLIM_INFINITY else min(room, float(soft - used))
    return room
