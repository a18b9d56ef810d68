"""JSON documents: values become types of JSON."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exitwave.cli.document import plain, print_json
from exitwave.errors import Finding


@dataclass(frozen=True)
class Pair:
    first: object
    second: object


def test_numbers_arrays_paths_and_dataclasses():
    found = plain({"a": np.float32(0.5), "b": np.arange(3), 3: Path("x/y"), "d": Pair(True, (1, np.int8(2)))})
    assert found == {"a": 0.5, "b": [0, 1, 2], "3": "x/y", "d": {"first": True, "second": [1, 2]}}
    assert type(found["a"]) is float


def test_values_that_are_not_finite_become_null():
    assert plain([float("nan"), np.inf, np.array([1.0, np.nan])]) == [None, None, [1.0, None]]


def test_a_finding_is_printed_as_its_dictionary(capsys):
    finding = Finding("E109", "error", "entry_1", "0 µm", "more", "do")
    print_json({"findings": (finding,)})
    assert json.loads(capsys.readouterr().out) == {"findings": [finding.as_dict()]}
