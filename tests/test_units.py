"""Quantities as text: conversion in both directions."""

import pytest

from exitwave.errors import InputError
from exitwave.units import factor, parse, show


@pytest.mark.parametrize(
    ("value", "digits", "words"),
    [
        (8800, 4, "8.8 kB"),
        (999_600, 3, "1 MB"),
        (999_400, 3, "999 kB"),
        (0, 3, "0 B"),
        (1e-13, 3, "0.1 pB"),
        (-2.5e-8, 4, "-25 nB"),
        (float("inf"), 3, "inf B"),
    ],
)
def test_the_prefix_belongs_to_the_rounded_value(value: float, digits: int, words: str) -> None:
    assert show(value, "B", digits) == words


@pytest.mark.parametrize(("text", "number"), [("8.8 keV", 8800.0), ("12", 12.0), ("1e-3MeV", 1000.0)])
def test_an_energy_is_a_number_and_a_unit(text: str, number: float) -> None:
    assert parse(text, "energy") == pytest.approx(number)


@pytest.mark.parametrize("text", ["", "keV", "1.2.3nm", "inf", "nan m", "5 parsec", "5 5"])
def test_text_that_is_not_a_length_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(InputError) as refusal:
        parse(text, "length")
    assert refusal.value.remedy


def test_both_signs_for_micro_are_accepted() -> None:
    assert factor("\u00b5m", "length") == factor("\u03bcm", "length") == 1e-6
