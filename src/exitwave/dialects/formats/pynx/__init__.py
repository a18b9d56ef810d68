"""``pynx``: CXI files of PyNX, scans and results."""

from exitwave.dialects.formats.pynx.cxi import DIALECT as DIALECT
