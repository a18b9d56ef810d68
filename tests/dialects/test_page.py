"""The page docs/conventions.md agrees with the dialects."""

from pathlib import Path

from exitwave.dialects.page import page
from exitwave.dialects.registry import DIALECTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conventions.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_dialect_supports_something_and_states_its_conventions() -> None:
    for name, each in DIALECTS.built_in().items():
        assert each.name == name
        assert each.title
        assert each.read or each.write or each.check
        assert each.conventions.frames != "-"
