"""Detection of the file format from the content; a file with two different readings is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

import exitwave
from exitwave.dialects import detect
from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength
from exitwave.dialects.registry import DIALECTS
from exitwave.errors import InputError
from exitwave.scan import Result, Scan


def _other(name: str, energy: float, strength: Strength = Strength.MARK) -> Dialect:
    def read(file: Path, settings: Settings) -> Scan | Result:
        data = DIALECTS.all()["seed"].read
        assert data is not None
        scan = data(file, settings)
        assert isinstance(scan, Scan)
        return replace(scan, energy=energy)

    return Dialect(name, "made up", Conventions(), lambda _: Evidence(strength, "a reason"), read)


def test_a_seed_file_has_no_finding_on_its_format(scan_file: Path) -> None:
    data = exitwave.open(scan_file)
    assert isinstance(data, Scan)
    assert [each for each in data.findings if each.code == "I307"] == []


def test_the_detected_format_and_the_reason_are_a_finding(scan_file: Path) -> None:
    data = detect._read_as(_other("made-up", 9e3), scan_file, {}, "a reason")
    assert isinstance(data, Scan)
    assert "made-up: a reason" in data.findings[0].found


def test_different_readings_are_refused(scan_file: Path) -> None:
    seed = DIALECTS.all()["seed"]
    assert seed.detect is not None
    evidence = seed.detect(scan_file)
    assert evidence is not None
    pairs = [(seed, evidence), (_other("made-up", 9e3), Evidence(Strength.MARK, "a reason"))]
    with pytest.raises(InputError, match=r"the energy.*--from seed or --from made-up"):
        detect._agreed(pairs, scan_file, {})
    same = [(seed, evidence), (_other("made-up", 8800.25), Evidence(Strength.MARK, "a reason"))]
    assert isinstance(detect._agreed(same, scan_file, {}), Scan)


def test_the_error_for_an_unknown_dialect_names_the_nearest(scan_file: Path) -> None:
    with pytest.raises(InputError, match="Did you mean seed"):
        exitwave.open(scan_file, dialect="sed")
