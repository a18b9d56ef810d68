"""The register of algorithms: the files of this folder with an ``ALGORITHM``, and plug-ins."""

from typing import Any

from exitwave.engine.algorithms.algorithm import OPTIONAL, Algorithm
from exitwave.plugins import Register

ALGORITHMS: Register[Algorithm[Any]] = Register(
    Algorithm, "an algorithm", "exitwave.engine.algorithms", "ALGORITHM", "exitwave.algorithms"
)
"""All algorithms by name. Other packages add theirs in the entry-point group ``exitwave.algorithms``."""


def supporting(feature: str, *, without: str = "") -> str:
    """Return the names of the algorithms that have a feature, for a message.

    Parameters
    ----------
    feature : str
        A flag of `Algorithm`, or a setting of `OPTIONAL`.
    without : str
        A flag that the algorithms must not have.
    """
    names = [
        name
        for name, algorithm in ALGORITHMS.all().items()
        if (feature in algorithm.settings if feature in OPTIONAL else getattr(algorithm, feature))
        and not (without and getattr(algorithm, without))
    ]
    return ", ".join(names)
