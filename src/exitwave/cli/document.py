"""The answer of a verb as one JSON document."""

import dataclasses
import json
import math
import sys
from collections.abc import Mapping
from typing import Any

import typer


def plain(value: Any) -> Any:
    """Return a value in types of JSON: NumPy numbers and arrays as Python's, NaN and infinities as None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout."""
    utf_8 = "utf" in (getattr(sys.stdout, "encoding", None) or "").lower()
    typer.echo(json.dumps(plain(document), indent=2, ensure_ascii=not utf_8, allow_nan=False))
