"""Which dialects there are: Exitwave's own, and those that other packages add."""

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from exitwave.dialects.dialect import Dialect
from exitwave.errors import InputError, did_you_mean

OWN: tuple[str, ...] = (
    "seed",
    "cxi16",
    "pynx",
    "cdtools",
    "sharp",
    "nxcxi_ptycho",
    "ptychi",
    "ptychodus",
    "eiger",
    "velociprobe",
    "lynx",
    "hxn",
    "map",
    "npz",
    "tiff",
    "png",
    "tike",
    "ptylab",
    "ptychonn",
    "ptypy",
    "foldslice",
)
"""Modules of this package, each with a ``DIALECT`` of its name."""
GROUP = "exitwave.dialects"
"""The entry-point group in which another package names its own ``Dialect``."""


@cache
def known() -> dict[str, Dialect]:
    """Return all dialects by name, the schema of Exitwave first.

    Raises
    ------
    InputError
        If what an entry point names is not a dialect of its name, or the name is taken.
    """
    found = {name: import_module(f"exitwave.dialects.{name}").DIALECT for name in OWN}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            added = entry.load()
        except Exception as error:
            raise _broken(entry.name, entry.value, f"{type(error).__name__}: {error}") from error
        if not isinstance(added, Dialect) or added.name != entry.name or added.name in found:
            raise _broken(entry.name, entry.value, repr(added)[:80])
        found[added.name] = added
    return found


def _broken(name: str, where: str, found: str) -> InputError:
    remedy = f"Repair or remove its package: the entry point in {GROUP} must name a Dialect called {name}, a free name"
    return InputError("A dialect cannot be used", where=where, found=found, remedy=remedy)


def dialect(name: str) -> Dialect:
    """Return the dialect of a name.

    Raises
    ------
    InputError
        If there is none.
    """
    dialects = known()
    if name in dialects:
        return dialects[name]
    raise InputError("There is no such dialect", found=name, remedy=did_you_mean(name, dialects))
