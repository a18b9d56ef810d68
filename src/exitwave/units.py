"""Convert quantities with units to floats and back: lengths in metres, photon energies in eV."""

import math
import re

from exitwave.errors import InputError

ELEMENTARY_CHARGE = 1.602176634e-19
"""Joules per electronvolt (exact, SI 2019)."""
H_C = 1.23984198e-6
"""Planck constant times speed of light in eV m, the value of the schema."""

_LENGTH = {"m": 1.0, "metre": 1.0, "metres": 1.0, "meter": 1.0, "meters": 1.0, "cm": 1e-2, "mm": 1e-3}
_LENGTH |= dict.fromkeys(["um", "µm", "μm", "micron", "microns", "micrometre", "micrometer"], 1e-6)
_LENGTH |= {"nm": 1e-9, "pm": 1e-12} | dict.fromkeys(["A", "Å", "angstrom", "Angstrom"], 1e-10)
_ENERGY = {"eV": 1.0, "ev": 1.0, "keV": 1e3, "KeV": 1e3, "kev": 1e3, "MeV": 1e6, "GeV": 1e9}
_ENERGY |= dict.fromkeys(["J", "joule", "joules"], 1.0 / ELEMENTARY_CHARGE)
_TABLES = {"length": _LENGTH, "energy": _ENERGY}
_BASE = {"length": "m", "energy": "eV"}


def factor(unit: str, dimension: str) -> float:
    """Return the factor from ``unit`` to metres (``dimension="length"``) or eV (``"energy"``).

    Raises
    ------
    InputError
        If the unit is unknown.
    """
    table = _TABLES[dimension]
    if unit.strip() not in table:
        raise InputError(f"Unknown unit of {dimension}: {unit!r}", remedy=f"Use one of {', '.join(table)}")
    return table[unit.strip()]


def parse(value: str | float, dimension: str) -> float:
    """Return a quantity such as ``"8.8 keV"``, ``"100nm"`` or a number as a float in metres or eV.

    Raises
    ------
    InputError
        If the text is not a finite number with a known unit.
    """
    match = re.fullmatch(r"\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*([^\d\s]*)\s*", str(value))
    example = {"length": "100nm", "energy": "8.8keV"}[dimension]
    try:
        number = float(match[1]) if match else math.nan
    except ValueError:
        number = math.nan
    if match is None or not math.isfinite(number):
        article = "an" if dimension == "energy" else "a"
        remedy = f"Write a number and a unit, such as {example}"
        raise InputError(f"{str(value)!r} is not {article} {dimension}", remedy=remedy)
    return number * factor(match[2] or _BASE[dimension], dimension)


_PREFIXES = [(1e-12, "p"), (1e-9, "n"), (1e-6, "µ"), (1e-3, "m"), (1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G")]


def show(value: float, unit: str, digits: int = 4) -> str:
    """Return a value as text with an SI prefix, e.g. ``show(8800, "eV") == "8.8 keV"``."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    value = float(f"{value:.{digits}g}")  # so that 999.96 is 1 k
    scale, prefix = max((p for p in _PREFIXES if p[0] <= abs(value) * (1 + 1e-12)), default=_PREFIXES[0])
    return f"{value / scale:.{digits}g} {prefix}{unit}"
