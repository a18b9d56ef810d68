"""The register of algorithms: the files of this folder that end with ``ALGORITHM``, and plug-ins."""

from typing import Any

from exitwave.engine.algorithms.algorithm import OPTIONAL, Algorithm
from exitwave.plugins import Register

ALGORITHMS: Register[Algorithm[Any]] = Register(
    Algorithm, "exitwave.engine.algorithms", "ALGORITHM", "exitwave.algorithms"
)
"""All algorithms by name. Other packages add theirs in the entry-point group ``exitwave.algorithms``."""


def supporting(feature: str, *, but: str = "") -> str:
    """Return the names of the algorithms with a feature, a flag of `Algorithm`, or that use a setting, for a message.

    ``but`` is another flag that they must not have.
    """
    names = [
        name
        for name, each in ALGORITHMS.all().items()
        if (feature in each.settings if feature in OPTIONAL else getattr(each, feature))
        and not (but and getattr(each, but))
    ]
    return ", ".join(names)
