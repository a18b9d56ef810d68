"""The register of dialects: the modules of `exitwave.dialects.formats` with ``DIALECT``, and plug-ins."""

from exitwave.dialects.dialect import Dialect
from exitwave.plugins import Register

DIALECTS: Register[Dialect] = Register(
    Dialect,
    "a file format",
    "exitwave.dialects.formats",
    "DIALECT",
    "exitwave.dialects",
    rank=lambda dialect: (dialect.order, dialect.name),
)
"""All dialects by name, sorted by ``Dialect.order``.

A new file format is one new module in `formats`. Other packages add theirs in the entry-point group
``exitwave.dialects``.
"""
