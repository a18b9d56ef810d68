"""``map``: any HDF5 file, described by a YAML map of paths, units and conventions."""

from exitwave.dialects.formats.map.read import DIALECT as DIALECT
