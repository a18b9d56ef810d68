"""The known dialects: the modules of `exitwave.dialects.formats`, and the entry points of other packages."""

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules

from exitwave.dialects import formats
from exitwave.dialects.dialect import Dialect
from exitwave.errors import InputError, did_you_mean

GROUP = "exitwave.dialects"
"""Entry-point group in which another package registers its ``Dialect``."""


def own() -> dict[str, Dialect]:
    """Return the dialects of this package by name: ``DIALECT`` of each module or folder in `exitwave.dialects.formats`.

    A new file format is one new module there.
    """
    modules = (import_module(f"{formats.__name__}.{module.name}") for module in iter_modules(formats.__path__))
    return {module.DIALECT.name: module.DIALECT for module in modules}


@cache
def known() -> dict[str, Dialect]:
    """Return all dialects by name, sorted by ``Dialect.order``, then by name.

    Raises
    ------
    InputError
        If an entry point cannot be loaded, does not name a dialect of its own name, or uses a name that is taken.
    """
    found = own()
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            added = entry.load()
        except Exception as error:
            raise _broken(entry.name, entry.value, f"{type(error).__name__}: {error}") from error
        if not isinstance(added, Dialect) or added.name != entry.name or added.name in found:
            raise _broken(entry.name, entry.value, repr(added)[:80])
        found[added.name] = added
    return dict(sorted(found.items(), key=lambda item: (item[1].order, item[0])))


def _broken(name: str, where: str, found: str) -> InputError:
    remedy = f"Repair or remove its package: the entry point in {GROUP} must be a Dialect with the unused name {name}"
    return InputError("A file format of another package cannot be used", where=where, found=found, remedy=remedy)


def dialect(name: str) -> Dialect:
    """Return the dialect of a name.

    Raises
    ------
    InputError
        If no dialect has this name.
    """
    dialects = known()
    if name in dialects:
        return dialects[name]
    raise InputError("There is no such file format", found=name, remedy=did_you_mean(name, dialects))
