"""Register of the refinements: the files of this folder with ``REFINEMENT``, and plug-ins."""

from typing import Any

from exitwave.engine.model.refinement import Refinement
from exitwave.plugins import Register

REFINEMENTS: Register[Refinement[Any]] = Register(
    Refinement, "a refinement", "exitwave.engine.model", "REFINEMENT", "exitwave.refinements"
)
"""All refinements by name. Other packages add theirs in the entry-point group ``exitwave.refinements``."""


def in_order() -> list[Refinement[Any]]:
    """Return all refinements in the order in which they run after an iteration."""
    return sorted(REFINEMENTS.all().values(), key=lambda refinement: refinement.order)
