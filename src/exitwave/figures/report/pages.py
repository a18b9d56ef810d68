"""HTML pages from the templates of this package."""

import datetime
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

import exitwave

LONGEST = 120
"""Largest number of characters of a setting."""


def render(template: str, **values: Any) -> str:
    """Return a page from a template; text from files is escaped."""
    environment = Environment(
        loader=PackageLoader("exitwave.figures.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["settings"] = _format_settings
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return environment.get_template(template).render(version=exitwave.__version__, today=today, **values)


def _format_settings(settings: Mapping[str, Any]) -> str:
    """Return the settings of a decision in one line; long values are cut."""
    return "; ".join(f"{name}: {_shorten(value)}" for name, value in settings.items())


def _shorten(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
