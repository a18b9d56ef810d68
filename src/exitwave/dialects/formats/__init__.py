"""File formats: each module or folder here defines a `Dialect` named DIALECT, which the registry finds.

To add a file format, add a module with a DIALECT and an ``order``, and a test; then print docs/conventions.md again by
``python -m exitwave.dialects.page``.
"""
