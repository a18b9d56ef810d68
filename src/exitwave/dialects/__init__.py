"""Files of other programs: one module for each format, which says how to tell it, read it, write it and check it."""
