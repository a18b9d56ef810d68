"""File formats: each module or folder here defines a `Dialect` named DIALECT, which `exitwave.dialects.registry` finds.

To add a file format, add a module with a DIALECT and an ``order``, and a test; then print the page of conventions again.
"""
