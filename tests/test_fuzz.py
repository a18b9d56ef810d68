"""Mutated files of the schema in verbs, in a child process with little memory; `benchmarks/fuzz.py` runs many more."""

import shutil
from pathlib import Path

import fuzz_verbs
import pytest


def test_verbs_read_or_refuse_mutated_files(tmp_path: Path) -> None:
    wrong = [f"case {number} {words}\n{what}" for number, words, what in fuzz_verbs.failures(30, 1, tmp_path)]
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("file", sorted(fuzz_verbs.CORPUS.glob("*.cxi")), ids=lambda file: file.stem)
def test_files_that_have_failed_are_read_or_refused(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(file, "case.cxi")
    wrong = [found for words in fuzz_verbs.WORDS[:3] if (found := fuzz_verbs.run(words))]
    assert not wrong, "\n".join(wrong)
