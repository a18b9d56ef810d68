"""Registers of algorithms and refinements: those of this package, of other packages, and of the running program."""

from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from typing import Any, Generic, TypeVar

from exitwave.errors import InputError, did_you_mean

T = TypeVar("T")


class Register(Generic[T]):
    """All items of one kind by name.

    An item comes from a module of one package of Exitwave (an attribute of a fixed name), from another package (an
    entry point), or from the running program (`add`).

    Parameters
    ----------
    kind : type
        Class of the items; each has a ``name``.
    package : str
        Package whose modules are searched.
    attribute : str
        Name of the item in such a module.
    group : str
        Entry-point group of other packages.
    """

    def __init__(self, kind: type[T], package: str, attribute: str, group: str) -> None:
        self.kind, self.package, self.attribute, self.group = kind, package, attribute, group
        self._items: dict[str, T] = {}
        self._loaded = False

    def all(self) -> dict[str, T]:
        """Return all items by name: those of Exitwave in the order of their names, then the others.

        Raises
        ------
        InputError
            If an entry point cannot be loaded, is not an item, or has the name of another one.
        """
        if not self._loaded:
            self._loaded = True
            for name, item in (*self._built_in(), *self._from_entry_points()):
                self._items[name] = item
        return self._items

    def get(self, name: str) -> T:
        """Return the item with a name, in upper or lower case.

        Raises
        ------
        InputError
            If there is no such item.
        """
        names = {known.lower(): known for known in self.all()}
        if name.lower() in names:
            return self.all()[names[name.lower()]]
        what = f"Unknown {self.kind.__name__.lower()}"
        raise InputError(what, found=name, remedy=did_you_mean(name, self.all()))

    def add(self, item: Any) -> str:
        """Add an item of the running program and return its name; replace an item that was added before.

        Raises
        ------
        InputError
            If it is not an item, or has the name of an item of Exitwave.
        """
        if not isinstance(item, self.kind):
            raise InputError(f"Not {self._article()}", found=repr(item)[:80], remedy="See docs/plug-ins.md")
        name: str = item.name  # type: ignore[attr-defined]
        if name in dict(self._built_in()) and self.all()[name] is not item:
            what = f"{self._article().capitalize()} of Exitwave already has this name"
            raise InputError(what, found=name, remedy="Choose another name")
        self.all()[name] = item
        return name

    def _article(self) -> str:
        word = self.kind.__name__.lower()
        return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"

    def _built_in(self) -> list[tuple[str, T]]:
        """Return the names and items of the modules of Exitwave."""
        package = import_module(self.package)
        modules = [import_module(f"{self.package}.{module.name}") for module in iter_modules(package.__path__)]
        items = [getattr(module, self.attribute) for module in modules if self.attribute in vars(module)]
        return sorted(((item.name, item) for item in items), key=lambda pair: pair[0].lower())

    def _from_entry_points(self) -> list[tuple[str, T]]:
        """Return the names and items of the entry points of other packages."""
        items, taken = [], {name for name, _ in self._built_in()}
        for entry in sorted(entry_points(group=self.group), key=lambda entry: entry.name):
            try:
                item = entry.load()
            except Exception as error:
                raise self._broken(entry, f"{type(error).__name__}: {error}") from error
            if not isinstance(item, self.kind) or item.name != entry.name or entry.name in taken:  # type: ignore[attr-defined]
                raise self._broken(entry, repr(item)[:80])
            taken.add(entry.name)
            items.append((entry.name, item))
        return items

    def _broken(self, entry: Any, found: str) -> InputError:
        remedy = f"Repair or remove its package: the entry point in {self.group} must give {self._article()} object "
        remedy += f"with the name {entry.name}, which no other {self.kind.__name__.lower()} may have"
        return InputError("A plug-in cannot be loaded", where=entry.value, found=found, remedy=remedy)
