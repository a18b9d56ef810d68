"""Optics that are given on the command line: a beamline, or the dimensions of a lens."""

from dataclasses import fields
from typing import TYPE_CHECKING

from exitwave.errors import InputError
from exitwave.units import parse

if TYPE_CHECKING:
    from exitwave.preparation.probe import Optics


def parse_optics(text: str) -> "Optics":
    """Return the lens of ``26-ID`` or ``zone-plate:diameter=160um,outermost_zone=30nm``.

    Raises
    ------
    InputError
        If there is no such beamline or lens, or one of its dimensions is missing, unknown or not a length.
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
    lengths = {name: [parse(part, "length") for part in value.split("/")] for name, value in given.items()}
    axes = 1 if lens is ZonePlate else 2
    known = [field.name for field in fields(lens)]
    complete = set(known[:2]) <= set(lengths) <= set(known)
    if not complete or any(len(values) != axes for values in lengths.values()):
        pairs = "" if axes == 1 else ", each as y/x"
        remedy = f"Give {', '.join(known[:2])}; and, if not 0, {', '.join(known[2:])}{pairs}"
        raise InputError(f"Not the dimensions of {kind}", where="--optics", found=repr(rest), remedy=remedy)
    return lens(**{name: values[0] if axes == 1 else tuple(values) for name, values in lengths.items()})
