"""What ``--set`` may give: the overrides, and what the dialect lacks; anything else is refused with the nearest."""

from pathlib import Path

import pytest

import exitwave
from exitwave.errors import InputError


def test_an_unknown_setting_of_a_dialect_is_refused_with_the_nearest(scan_file: Path) -> None:
    with pytest.raises(InputError, match="Did you mean energy"):
        exitwave.open(scan_file, dialect="seed", enregy="9keV")
