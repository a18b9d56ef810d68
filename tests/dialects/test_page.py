"""The page of conventions is what the dialects say."""

from pathlib import Path

from exitwave.dialects.page import page
from exitwave.dialects.registry import own

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conventions.md"


def test_the_page_is_that_of_the_dialects() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_dialect_can_do_something_and_says_what_it_means() -> None:
    for name, each in own().items():
        assert each.name == name
        assert each.title
        assert each.read or each.write or each.check
        assert each.conventions.frames != "-"
