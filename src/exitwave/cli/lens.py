"""Optics that are given on the command line: a beamline, or the numbers of a lens."""

from dataclasses import fields
from typing import TYPE_CHECKING

from exitwave.errors import InputError
from exitwave.units import parse

if TYPE_CHECKING:
    from exitwave.preparation.probe import Optics


def parse_optics(text: str) -> "Optics":
    """Return ``26-ID`` or ``zone-plate:diameter=160um,outermost_zone=30nm`` as the lens.

    Raises
    ------
    InputError
        If there is no such beamline or lens, or one of its numbers is missing, unknown or no length.
    """
    from exitwave.preparation.probe import Mirrors, ZonePlate, optics_of

    kind, colon, rest = text.partition(":")
    if not colon:
        return optics_of(text)
    lenses = {"zone-plate": ZonePlate, "mirrors": Mirrors}
    if kind not in lenses:
        raise InputError("Unknown optics", where="--optics", found=repr(kind), remedy=f"Use {' or '.join(lenses)}")
    lens = lenses[kind]
    given = dict(pair.strip().partition("=")[::2] for pair in rest.split(","))
    numbers = {name: [parse(part, "length") for part in value.split("/")] for name, value in given.items()}
    each = 1 if lens is ZonePlate else 2
    known = [field.name for field in fields(lens)]
    if set(numbers) - set(known) or not set(numbers) >= set(known[:2]) or any(len(v) != each for v in numbers.values()):
        pairs = "" if each == 1 else ", each as y/x"
        remedy = f"Give {', '.join(known[:2])}; and, if not 0, {', '.join(known[2:])}{pairs}"
        raise InputError(f"Not the numbers of {kind}", where="--optics", found=repr(rest), remedy=remedy)
    return lens(**{name: value[0] if each == 1 else tuple(value) for name, value in numbers.items()})
