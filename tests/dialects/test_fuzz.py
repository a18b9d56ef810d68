"""Mutated files of all dialects are read or refused, in a child process with little memory; fuzz.py runs more."""

from pathlib import Path

import fuzz

import exitwave


def test_mutated_files_are_read_or_refused(tmp_path: Path) -> None:
    wrong = [f"case {number} {words}\n{what}" for number, words, what in fuzz.failures(150, 1, tmp_path)]
    assert not wrong, "\n\n".join(wrong)


def test_the_samples_can_be_opened(tmp_path: Path) -> None:
    for sample in fuzz.samples(tmp_path / "good"):
        exitwave.open(sample.file, dialect=sample.dialect, **sample.settings)
