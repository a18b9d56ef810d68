"""Values of a run as JSON and arrays, which a file can store, and back.

A description is JSON: text, numbers, True, False and None stand for themselves, and every other value is a list of its
kind and its parts, for example ``["array", 3]`` for the array with the number 3. Two references to one array stay two
references to one array.
"""

import dataclasses
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.arrays import to_host
from exitwave.errors import InputError

Description = Any
"""JSON: a value, or a list of a kind and its parts."""
PLAIN = (bool, int, float, str, type(None))


class Packer:
    """Describes values, and collects their arrays, without a copy of those on the host.

    Attributes
    ----------
    arrays : list of ndarray
        The arrays, by number.
    """

    def __init__(self) -> None:
        self.arrays: list[NDArray[Any]] = []
        self._numbers, self._kept = dict[int, int](), list[Any]()

    def pack(self, value: Any) -> Description:
        """Return the description of a value.

        Raises
        ------
        TypeError
            If a part of it is neither plain, an array, a collection, a random generator nor a dataclass.
        """
        if type(value) in PLAIN:
            return value
        if isinstance(value, np.ndarray):
            return ["array", self._number(value)]
        if isinstance(value, np.generic):
            return ["scalar", self._number(np.asarray(value))]
        if type(value).__module__.partition(".")[0] == "torch":
            return ["tensor", self._number(value)]
        if isinstance(value, np.random.Generator):
            return ["generator", self._number(value, generator=True), value.bit_generator.state]
        if type(value) in (list, tuple):
            return [type(value).__name__, *(self.pack(item) for item in value)]
        if isinstance(value, set | frozenset):
            return [type(value).__name__, *(self.pack(item) for item in sorted(value))]
        if isinstance(value, dict):
            return ["dict", *([self.pack(key), self.pack(item)] for key, item in value.items())]
        if dataclasses.is_dataclass(value):
            return ["dataclass", _name(type(value)), *([key, self.pack(item)] for key, item in vars(value).items())]
        if isinstance(value, tuple):
            return ["namedtuple", _name(type(value)), *(self.pack(item) for item in value)]
        raise TypeError(f"{type(value).__name__} cannot be stored in a checkpoint")

    def _number(self, value: Any, *, generator: bool = False) -> int:
        """Return the number of an array, of a tensor or of a generator, which takes the place of an empty array."""
        known = self._numbers.get(id(value))
        if known is None:
            known = self._numbers[id(value)] = len(self.arrays)
            self.arrays.append(np.empty(0) if generator else to_host(value))
            self._kept.append(value)  # so that no other value gets its id
        return known


class Unpacker:
    """Makes values from their descriptions.

    Parameters
    ----------
    arrays : list of ndarray
        The arrays, by number. They become parts of the values.
    device : str
        Device of tensors, as `device.resolve` returns it.
    """

    def __init__(self, arrays: list[NDArray[Any]], device: str = "cpu") -> None:
        self._arrays, self._device = arrays, device.removeprefix("torch-")
        self._made: dict[int, Any] = {}

    def unpack(self, description: Description) -> Any:
        """Return the value of a description.

        Raises
        ------
        InputError
            If it contains an unknown kind or class, so that it is damaged or of another version.
        """
        if not isinstance(description, list):
            return description
        kind, *parts = description
        if kind in ("array", "tensor", "generator"):
            return self._shared(kind, *parts)
        if kind == "scalar":
            return self._arrays[parts[0]][()]
        if kind == "dict":
            return {self.unpack(key): self.unpack(item) for key, item in parts}
        if kind in ("dataclass", "namedtuple"):
            return self._object(kind, *parts)
        collections: dict[str, Any] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
        if kind not in collections:
            raise _unknown(f"kind {kind!r}")
        return collections[kind](self.unpack(item) for item in parts)

    def _shared(self, kind: str, number: int, state: Any = None) -> Any:
        """Return an array, a tensor or a generator, the same one for all references to it."""
        if number not in self._made:
            if kind == "array":
                self._made[number] = self._arrays[number]
            elif kind == "tensor":
                import torch

                self._made[number] = torch.from_numpy(self._arrays[number]).to(self._device)
            else:
                self._made[number] = np.random.Generator(getattr(np.random, str(state["bit_generator"]))())
                self._made[number].bit_generator.state = state
        return self._made[number]

    def _object(self, kind: str, name: str, *parts: Any) -> Any:
        """Return a dataclass or a named tuple of a class that is already imported; no code of it runs."""
        module, _, qualified = name.partition(":")
        found = getattr(sys.modules.get(module), qualified, None)
        if kind == "dataclass" and dataclasses.is_dataclass(found) and isinstance(found, type):
            made = object.__new__(found)
            vars(made).update({key: self.unpack(item) for key, item in parts})
            return made
        if kind == "namedtuple" and isinstance(found, type) and issubclass(found, tuple):
            return tuple.__new__(found, [self.unpack(item) for item in parts])
        raise _unknown(name)


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _unknown(found: str) -> InputError:
    remedy = "It is damaged, or another version or plug-in wrote it: start the reconstruction again without --resume"
    return InputError("The checkpoint contains an unknown part", found=found, remedy=remedy)
