"""Settings: overrides and those of the dialect are accepted; for any other the error names the nearest."""

from pathlib import Path

import pytest

import exitwave
from exitwave.errors import InputError


def test_the_error_for_an_unknown_setting_names_the_nearest(scan_file: Path) -> None:
    with pytest.raises(InputError, match="Did you mean energy"):
        exitwave.open(scan_file, dialect="seed", enregy="9keV")
