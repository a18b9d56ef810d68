"""The message of an error is one text, composed of its parts."""

import pytest

from exitwave.errors import ExitwaveError, Finding, did_you_mean


@pytest.mark.parametrize(
    ("what", "parts", "message"),
    [
        ("The disk is full", {}, "The disk is full."),
        ("Unknown key", {"remedy": "Did you mean energy?"}, "Unknown key. Did you mean energy?"),
        ("Not a size", {"where": "--crop", "found": "'wide'"}, "--crop: Not a size ('wide')."),
        ("The file is not HDF5", {"where": "notes.txt", "found": "4 bytes"}, "notes.txt is not HDF5 (4 bytes)."),
        ("The file has no energy", {"where": "a.cxi:/entry_1"}, "a.cxi:/entry_1: The file has no energy."),
        ("The file with the map is empty", {"where": "a.yaml"}, "a.yaml: The file with the map is empty."),
        ("No energy", {"where": "a.cxi", "found": "0 eV.", "remedy": "Set it."}, "a.cxi: No energy (0 eV). Set it."),
    ],
)
def test_the_message_has_place_problem_value_and_remedy(what: str, parts: dict[str, str], message: str) -> None:
    error = ExitwaveError(what, **parts)
    assert str(error) == message
    assert (error.what, error.where) == (what, parts.get("where", ""))
    assert (error.found, error.remedy) == (parts.get("found", ""), parts.get("remedy", ""))


def test_the_most_similar_name_is_suggested() -> None:
    assert did_you_mean("enrgy", ["mask=none", "energy=8.8keV"]).startswith("Did you mean energy? Known: mask=none")
    assert did_you_mean("zzz", ["mask", "energy"]) == "Known: mask, energy"
    many = [f"name_{number}" for number in range(20)]
    assert did_you_mean("name_7x", many) == "Did you mean name_7?"
    assert did_you_mean("zzz", many) == f"Known: {', '.join(many)}"


def test_a_finding_is_one_line() -> None:
    finding = Finding("W203", "warning", "/entry_1/a", "1 m", "2 m", "Correct the file")
    assert str(finding) == "warning W203: /entry_1/a: 1 m; expected 2 m. Correct the file"


def test_long_parts_are_cut_and_end_in_one_line_that_can_be_encoded() -> None:
    error = ExitwaveError("Bad value", where="a" * 10_000, found="x\n" * 10**6, remedy="Use b\udcff\0")
    assert len(str(error)) < 2000
    assert "(2000000 characters)" in str(error)
    assert "\n" not in str(error)
    assert str(error).encode()
    assert len(did_you_mean("y" * 10**6, ["mask", "energy"])) < 100
