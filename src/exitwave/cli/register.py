"""The register of verbs. A file in `exitwave.cli.verbs` adds its verb to it with the decorator `verb`."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from typing import Any, TypeVar, get_type_hints

from exitwave.cli.options import Confine

Function = TypeVar("Function", bound=Callable[..., None])
_VERBS: dict[str, "Verb"] = {}


@dataclass(frozen=True)
class Verb:
    """A verb of the command line."""

    name: str
    """Its name on the command line."""
    order: int
    """Place in the list of verbs, the lowest first."""
    function: Callable[..., None]
    """Function for Typer, with one parameter for each argument and option."""


def verb(order: int, *, opens_files: bool = False) -> Callable[[Function], Function]:
    """Register the decorated function as a verb.

    Its name is the name of the function, with dashes for underscores. A parameter whose type is a dataclass stands for
    one option for each field of the dataclass.

    Parameters
    ----------
    order : int
        Place in the list of verbs, the lowest first.
    opens_files : bool
        Whether the verb opens files of users; it then has the option ``--confine``.
    """

    def register(function: Function) -> Function:
        name = function.__name__.replace("_", "-")
        _VERBS[name] = Verb(name, order, flat(function, confines=opens_files))
        return function

    return register


def verbs() -> list[Verb]:
    """Import all files in `exitwave.cli.verbs`, and return the verbs in the order of the list."""
    package = importlib.import_module("exitwave.cli.verbs")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return sorted(_VERBS.values(), key=lambda each: (each.order, each.name))


def flat(function: Callable[..., None], *, confines: bool = False) -> Callable[..., None]:
    """Return the function with the fields of its dataclass parameters as parameters, all of them keywords.

    With ``confines`` it also has the option ``--confine``.
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in groups:
            parameters += _options(groups[name])
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name]))

    if confines:
        parameters.append(
            inspect.Parameter("confine", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Confine)
        )

    @wraps(function)
    def flattened(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        if not values.pop("confine", False):
            function(**values)
            return
        from exitwave.frames.confine import confining

        with confining(True):
            function(**values)

    del flattened.__wrapped__
    flattened.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flattened.__annotations__ = {each.name: each.annotation for each in parameters}
    return flattened


def _options(group: Any) -> list[inspect.Parameter]:
    """Return one parameter for each field of a dataclass."""
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]
