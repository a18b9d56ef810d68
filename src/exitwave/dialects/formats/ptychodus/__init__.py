"""``ptychodus``: diffraction and product, in a pair of files or in one CXI file."""

from exitwave.dialects.formats.ptychodus.pair import DIALECT as DIALECT
