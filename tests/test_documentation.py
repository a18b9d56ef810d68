"""The pages of the documentation: links, paths, commands, settings and names that they mention exist."""

import re
import shlex
import sys
import tomllib
from importlib import util
from pathlib import Path

import pytest
import typer
from processes import start, wait_for

import exitwave
from exitwave.cli import app
from exitwave.cxi.read import OVERRIDES
from exitwave.dialects.registry import DIALECTS
from exitwave.engine.recipe import FORMER_NAMES, setting_at

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
PRINTED = {path.name: path for path in PAGES}
VERBS = {command.name: command for command in typer.main.get_command(app).commands.values()}  # type: ignore[attr-defined]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _anchors(path: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", _text(path), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda path: path.name)
def test_links_lead_to_existing_pages_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", _text(page)):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        linked = (page.parent / file) if file else page
        assert linked.exists(), target
        assert not anchor or anchor in _anchors(linked), target


@pytest.mark.parametrize("page", ["README.md", "architecture.md"])
def test_the_tree_of_the_page_is_the_tree_of_the_repository(page: str) -> None:
    tree = re.search(r"^    src/exitwave/\n(?:    .*\n)+", _text(PRINTED[page]), re.MULTILINE)
    assert tree is not None
    listed, parents = [], [(-1, ROOT)]
    for line in tree[0].splitlines():
        name = line.split()[0]
        depth = len(line) - len(line.lstrip())
        while parents[-1][0] >= depth:
            parents.pop()
        path = parents[-1][1] / name
        assert path.exists(), path
        listed.append(path)
        if name.endswith("/"):
            parents.append((depth, path))
    source = ROOT / "src" / "exitwave"
    packages = {path.parent for path in source.glob("*/__init__.py")}
    assert packages <= set(listed)


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "architecture.md"])
def test_paths_in_the_text_exist(page: str) -> None:
    text = re.sub(r"```[^`]*```|^    .*$", "", _text(PRINTED[page]), flags=re.MULTILINE)
    words = [word for word in re.findall(r"`([^`\s]+)`", text) if "/" in word and "NAME" not in word]
    folders = [ROOT, ROOT / "src" / "exitwave", ROOT / "src" / "exitwave" / "engine"]
    entries = ("image_1", "source_1", "beam_1", "process_1", "detector_1", "detectorSpecific")  # of a CXI file
    paths = [word for word in words if not word.startswith(entries)]
    assert len(paths) > 5
    assert [path for path in paths if not any((folder / path).exists() for folder in folders)] == []


def test_the_rows_of_packages_are_those_of_the_contract() -> None:
    contracts = tomllib.loads(_text(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers")
    expected = [set(layer.split(" | ")) for layer in layers if layer != "__main__"]
    rows = re.findall(r"^\| (\d+) \| (`.*?`) \|", _text(PRINTED["architecture.md"]), re.MULTILINE)
    assert [set(re.findall(r"`(\w+)`", names)) for _, names in rows] == expected
    assert [int(number) for number, _ in rows] == list(range(len(rows), 0, -1))


def _commands(text: str) -> list[str]:
    """Return the command lines with `exitwave VERB` on a page."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines = re.findall(r"^    (.*\bexitwave [a-z].*)$", text, re.MULTILINE)
    lines += re.findall(r"`(exitwave [a-z][^`]*)`", text)
    return [line.partition("#")[0].split(" > ")[0].strip(" &") for line in lines]


def _check(words: list[str]) -> None:
    """Check that the verb and its options exist."""
    verb = VERBS[words[0]]
    options = {name for parameter in verb.params for name in (*parameter.opts, *parameter.secondary_opts)}
    if "--" in words:
        inner = words[words.index("--") + 1 :]
        words = words[: words.index("--")]
        if inner and inner[0] in VERBS:
            _check(inner)
    for word in words[1:]:
        if re.match(r"-[a-z-]", word):
            assert word.partition("=")[0].rstrip(",") in {*options, "--help"}, (words[0], word)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda path: path.name)
def test_commands_have_existing_verbs_and_options(page: Path) -> None:
    for command in _commands(_text(page)):
        _check(shlex.split(command.partition("exitwave ")[2].replace("...", "")))


def _exists(key: str) -> bool:
    """Return whether a dotted key is a setting of a recipe or a stage."""
    path = key.split(".")
    return setting_at(path)[0] == path


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_settings_exist(page: Path) -> None:
    of_files = set(OVERRIDES) | {key for dialect in DIALECTS.all().values() for key in dialect.settings}
    keys = re.findall(r"--set '?([a-z_.]+)=", _text(page))
    groups = r"(?:\w+_update|\w+_constraints|detector|fly|slice_smoothing)\.[a-z_.]*[a-z]"
    keys += [key for key in re.findall(rf"`({groups})[=`]", _text(page)) if not key.endswith(".py")]
    assert [key for key in keys if key not in of_files and not _exists(key)] == []
    assert not [old for old in FORMER_NAMES if f"{old}=" in _text(page) or f"{old}:" in _text(page)]


def test_names_of_the_package_exist() -> None:
    """Functions of `exitwave` on the pages are public, and imports in examples work."""
    for page in PAGES:
        text = _text(page)
        for name in re.findall(r"\bexitwave\.([a-z_]+)\(", text):
            assert name in dir(exitwave), (page.name, name)
        for module, names in re.findall(r"^from (exitwave[\w.]*) import (.*)$", text, re.MULTILINE):
            __import__(module)
            for name in names.split(", "):
                assert hasattr(sys.modules[module], name), (page.name, module, name)


@pytest.mark.skipif(not util.find_spec("torch"), reason="several processes need PyTorch")
def test_the_script_of_several_processes_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = re.search(r"```python\n(.*?)```", _text(PRINTED["facility.md"]), re.DOTALL)
    assert found is not None
    (tmp_path / "script.py").write_text(found[1].replace('algorithm="ML"', 'algorithm="ML", iterations=2'))
    exitwave.simulate(frames=24, detector=128, photons=1e6).save(tmp_path / "scan.cxi")
    monkeypatch.chdir(tmp_path)
    assert [code for code, *_ in wait_for(start(["script.py"], ["script.py"]))] == [0, 0]
    assert len(exitwave.open("result.cxi").errors) == 2


def test_former_names_on_the_page_of_terms_are_those_that_are_read() -> None:
    page = _text(PRINTED["terms.md"])
    rows = dict(re.findall(r"^\| setting of a stage \| `(\w+)` \| `(\w+)` \|", page, re.MULTILINE))
    assert rows == FORMER_NAMES
