"""The register of algorithms, refinements or file formats: those of Exitwave, of other packages, and of the program."""

from collections.abc import Callable
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
    label : str
        Word for an item in messages, with its article, such as ``a file format``.
    package : str
        Package whose modules are searched.
    attribute : str
        Name of the item in such a module.
    group : str
        Entry-point group of other packages.
    rank : callable, optional
        Returns the sort key of an item in listings; by default its name in lower case.
    """

    def __init__(
        self,
        kind: type[T],
        label: str,
        package: str,
        attribute: str,
        group: str,
        rank: Callable[[Any], Any] = lambda item: item.name.lower(),
    ) -> None:
        self.kind, self.label, self.package, self.attribute, self.group = kind, label, package, attribute, group
        self._rank = rank
        self._built_in: dict[str, T] = {}
        self._items: dict[str, T] = {}

    def built_in(self) -> dict[str, T]:
        """Return the items of Exitwave by name, sorted by rank."""
        if not self._built_in:
            package = import_module(self.package)
            modules = [import_module(f"{self.package}.{module.name}") for module in iter_modules(package.__path__)]
            items = [getattr(module, self.attribute) for module in modules if self.attribute in vars(module)]
            self._built_in = {item.name: item for item in sorted(items, key=self._rank)}
        return self._built_in

    def all(self) -> dict[str, T]:
        """Return all items by name, sorted by rank; items of the running program follow.

        Raises
        ------
        InputError
            If an entry point cannot be loaded, is not an item, or has the name of another one.
        """
        if not self._items:
            items: dict[str, Any] = dict(self.built_in())
            for entry in sorted(entry_points(group=self.group), key=lambda entry: entry.name):
                items[entry.name] = self._load(entry, taken=entry.name in items)
            self._items = {item.name: item for item in sorted(items.values(), key=self._rank)}
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
        noun = self.label.partition(" ")[2]
        raise InputError(f"There is no such {noun}", found=name, remedy=did_you_mean(name, self.all()))

    def add(self, item: Any) -> str:
        """Add an item of the running program and return its name; replace an item that was added before.

        Raises
        ------
        InputError
            If it is not an item, or has the name of an item of Exitwave.
        """
        if not isinstance(item, self.kind):
            remedy = f"Give the name of {self.label}, or an object of the class exitwave.{self.kind.__name__}"
            raise InputError(f"Not {self.label}", found=repr(item)[:80], remedy=remedy)
        name: str = item.name  # type: ignore[attr-defined]
        if self.built_in().get(name, item) is not item:
            what = f"{self.label.capitalize()} of Exitwave already has this name"
            raise InputError(what, found=name, remedy="Choose another name")
        self.all()[name] = item
        return name

    def _load(self, entry: Any, *, taken: bool) -> T:
        """Return the item of an entry point, whose name must not be taken."""
        try:
            item = entry.load()
        except Exception as error:
            raise self._broken(entry, f"{type(error).__name__}: {error}") from error
        if not isinstance(item, self.kind) or item.name != entry.name or taken:  # type: ignore[attr-defined]
            raise self._broken(entry, repr(item)[:80])
        return item

    def _broken(self, entry: Any, found: str) -> InputError:
        what = f"{self.label.capitalize()} of another package cannot be used"
        remedy = f"Repair or remove its package: the entry point in {self.group} must be a {self.kind.__name__} "
        return InputError(what, where=entry.value, found=found, remedy=f"{remedy}with the unused name {entry.name}")
