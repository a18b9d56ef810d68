"""Exitwave: from a ptychography scan in a CXI file to a complex image of the sample, and back into a CXI file.

import exitwave

scan = exitwave.open("scan.cxi")
chosen = exitwave.choose(scan)
result = exitwave.reconstruct(chosen.scan, chosen.recipe, choices=chosen.choices)
print(result.errors[-1], result.object.shape)
result.save("result.cxi")
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exitwave.analysis.compare import compare
    from exitwave.preparation.pipeline import prepare
    from exitwave.reconstruction.auto import choose
    from exitwave.reconstruction.half_scan_frc import half_scan_frc
    from exitwave.reconstruction.iterate import iterate, reconstruct
    from exitwave.scan import Result, Scan
    from exitwave.simulation.experiment import simulate

__version__ = "0.1.0"
__all__ = [
    "Result",
    "Scan",
    "choose",
    "compare",
    "half_scan_frc",
    "iterate",
    "open",
    "prepare",
    "reconstruct",
    "simulate",
]

_HOMES = {
    "Result": "exitwave.scan",
    "Scan": "exitwave.scan",
    "choose": "exitwave.reconstruction.auto",
    "compare": "exitwave.analysis.compare",
    "half_scan_frc": "exitwave.reconstruction.half_scan_frc",
    "iterate": "exitwave.reconstruction.iterate",
    "prepare": "exitwave.preparation.pipeline",
    "reconstruct": "exitwave.reconstruction.iterate",
    "simulate": "exitwave.simulation.experiment",
}


def open(path: str | Path, dialect: str = "auto", **overrides: str) -> "Scan | Result":
    """Open a CXI file, or one of another program: a Result where it holds a reconstruction, else a Scan.

    The frames stay in the file.

    Parameters
    ----------
    path : str or Path
        The file; it is never changed.
    dialect : str
        Whose file it is, as `exitwave formats` lists them; ``"auto"``: told from its content.
    **overrides : str
        What to believe instead of the file: ``energy="8.8keV"``, ``distance="2m"``, ``pixel_size="75um"``,
        ``positions="um"`` (their unit), ``mask="inverted"``, ``"as-is"`` or ``"none"``; and what a dialect lacks.

    Returns
    -------
    Scan or Result
        In SI units; what had to be decided or repaired is in ``findings`` of the scan.

    Raises
    ------
    InputError
        If the file cannot be used, with what to do about it.
    """
    from exitwave.dialects.detect import read

    return read(path, overrides, dialect)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``exitwave --help`` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'exitwave' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
