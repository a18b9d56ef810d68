"""File formats: each module or folder here has a `Dialect` named DIALECT, which the registry finds."""
