"""Texts of files are parsed within limits: size, depth, aliases; every fault is a ValueError with a short reason."""

import json
import tracemalloc
from pathlib import Path

import pytest
from typer.testing import CliRunner

from exitwave.batch.journal import open_journal
from exitwave.cli import app
from exitwave.cli.settings import read_recipe
from exitwave.documents import DEEPEST, LONGEST, parse_json, parse_yaml
from exitwave.errors import InputError, OutputError

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {k: v}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
LONG_SCALAR = f"a: &a {'x' * 2**19}\nb: [*a, *a, *a, *a]\n"
BAD_YAML = {
    "brackets": "[" * 20_000 + "]" * 20_000,
    "open brackets": "[" * 20_000,
    "braces": "{a: " * 500 + "}" * 500,
    "indents": "".join(f"{' ' * n}a:\n" for n in range(500)),
    "aliases": LAUGHS,
    "merged aliases": MERGES,
    "an alias of a long text": LONG_SCALAR,
    "an alias of itself": "a: &a [*a]",
    "a long text": "a: " + "x" * LONGEST,
    "many values": "[" + "1," * 50_000 + "]",
    "a tag that does not fit": "!!bool maybe",
    "an empty integer": "!!int ''",
    "a time that does not exist": "2020-99-99",
    "a time that is none": "!!timestamp x",
    "a list as a key": "? [1]\n: 2",
    "a Python object": "!!python/object/apply:os.system [true]",
    "an integer of too many digits": "9" * 5000,
    "a NUL": "a: \0",
    "two documents": "a: 1\n---\nb: 2",
}


@pytest.mark.parametrize("name", BAD_YAML)
def test_yaml_beyond_a_limit_is_refused_in_little_memory(name: str) -> None:
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"\w") as caught:
        parse_yaml(BAD_YAML[name])
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", BAD_YAML)
def test_a_bad_recipe_gives_one_short_message(name: str, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(BAD_YAML[name])
    with pytest.raises(InputError) as caught:
        read_recipe(file)
    assert len(str(caught.value)) < 2000
    run = CliRunner().invoke(app, ["reconstruct", "missing.cxi", "--recipe", str(file)])
    assert run.exit_code == 2
    assert "Unexpected" not in run.output
    assert len(run.output) < 2500


def test_aliases_within_the_limits_are_replaced() -> None:
    text = "a: &a {step: 0.5}\nstages: [{algorithm: mPIE, <<: *a}, *a]"
    assert parse_yaml(text)["stages"] == [{"algorithm": "mPIE", "step": 0.5}, {"step": 0.5}]
    assert parse_yaml("") is None
    assert parse_yaml("0.5") == 0.5


def test_json_is_limited_in_depth() -> None:
    deep = "[" * DEEPEST + "]" * DEEPEST
    assert parse_json(deep) == json.loads(deep)
    for depth in (DEEPEST + 1, 900, 20_000):
        with pytest.raises(ValueError, match=f"more than {DEEPEST} levels"):
            parse_json("[" * depth + "]" * depth)
    for text in ("[", "9" * 5000, "{'a': 1}", b"\xff"):
        with pytest.raises(ValueError, match=r"\w"):
            parse_json(text)


def test_a_journal_beyond_a_limit_is_one_of_other_settings(tmp_path: Path) -> None:
    (tmp_path / "batch.json").write_text("[" * 20_000 + "]" * 20_000)
    with pytest.raises(OutputError, match="other settings"):
        open_journal(tmp_path, {"a": 1}, [], overwrite=False)
