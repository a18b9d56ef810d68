import re
import subprocess
import sys
from pathlib import Path

from exitwave import findings
from exitwave.cxi.page import page
from exitwave.cxi.schema import BY_KEY, BY_PATH, TABLE

ROOT = Path(__file__).resolve().parents[2]
CXI = ROOT / "src" / "exitwave" / "cxi"


def test_keys_and_paths_are_unique_and_references_resolve() -> None:
    assert len(BY_KEY) == len(BY_PATH) == len(TABLE)
    for entry in TABLE:
        assert (entry.kind == "link") == bool(entry.target)
        if entry.target:
            assert BY_KEY[entry.target].kind == "dataset"
        if entry.owner != "/":
            assert BY_PATH[entry.owner].kind == "group"
            assert TABLE.index(BY_PATH[entry.owner]) < TABLE.index(entry)
        if entry.group_units:
            assert BY_KEY[entry.group_units].value == entry.units
            assert BY_KEY[entry.group_units].owner == entry.owner


def test_the_required_entries_are_those_of_the_specification(specification: str) -> None:
    drawing = re.search(r"## CXI HDF5 Hierarchy\s+```\n(.*?)```", specification, re.DOTALL)
    assert drawing
    names = [line.split()[0] for line in drawing[1].splitlines() if line.strip()]
    required = [entry for entry in TABLE if entry.need == "required" or entry.name == "units"]
    drawn = [name.strip("@/").rsplit("/", 1)[-1] for name in names]
    assert sorted(drawn) == sorted(entry.name for entry in required)


def test_the_reference_page_is_the_output_of_the_module() -> None:
    command = [sys.executable, "-m", "exitwave.cxi.page"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed == page()
    assert (ROOT / "docs" / "schema.md").read_text(encoding="utf-8") == printed
    assert all(f"`{entry.path}`" in printed for entry in TABLE)


def test_no_other_module_repeats_a_path() -> None:
    for file in CXI.glob("*.py"):
        if file.name != "schema.py":
            assert not re.search(r"[/\"'](entry|source|detector|sample|geometry|image|process)_1/", file.read_text()), (
                file
            )


def test_every_code_is_used_and_every_used_code_is_documented() -> None:
    sources = "".join(file.read_text() for file in CXI.parent.rglob("*.py") if file.name != "findings.py")
    assert set(re.findall(r'"([EWI][123]\d\d)"', sources)) == set(findings.CODES)
