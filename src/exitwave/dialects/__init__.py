"""File formats of other programs: detected from their content, read, written and checked."""
