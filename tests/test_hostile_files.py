"""Hostile HDF5 files: every verb ends with exit code 0, 1 or 2 and without an unexpected error, in bounded memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fuzz_verbs
import h5py
import numpy as np
import pytest
from samples import small_result, small_scan, small_truth

import exitwave
from exitwave.cxi.schema import path

Change = Callable[[h5py.File], None]
ODD = {
    "a compound type": np.zeros(3, [("a", "i4"), ("b", "f8")]),
    "text with a NUL": np.bytes_(b"a\0b"),
    "text that is no UTF-8": np.bytes_(b"\xff\xfe"),
    "an array of texts": np.array([b"a", b"b"]),
    "NaN": np.nan,
    "a negative number": -1.0,
    "a huge number": 1e308,
    "an empty array": np.zeros(0),
    "an array of no rows": np.zeros((0, 5, 5)),
    "five dimensions": np.zeros((1, 1, 1, 1, 1)),
    "a complex number": 1 + 1j,
    "booleans": np.ones(4, bool),
    "half precision": np.ones((3, 3), "f2"),
    "big-endian integers": np.ones((3, 3), ">i8"),
}
KEYS = (
    "frames", "positions", "energy", "distance", "mask", "illumination", "object", "object_x", "object_mask", "recipe",
    "left_out", "held_out", "preparation", "used_positions", "true_object", "true_y", "model_opr_modes", "monitor",
)  # fmt: skip


def _put(key: str, value: Any, **options: Any) -> Change:
    def change(file: h5py.File) -> None:
        if path(key) in file:
            del file[path(key)]
        file.create_dataset(path(key), data=value, **options)

    return change


def _special(create: Callable[[h5py.File, str], None], key: str = "positions") -> Change:
    def change(file: h5py.File) -> None:
        if path(key) in file:
            del file[path(key)]
        create(file, path(key))

    return change


def _huge(file: h5py.File, name: str) -> None:
    file.create_dataset(name, (2**40, 3), "f8", chunks=(1024, 3))


def _packed(file: h5py.File, name: str) -> None:
    file.create_dataset(name, (2**24,), "u1", chunks=(2**20,), compression="gzip", fillvalue=0)[: 2**20] = 0


def _lists(file: h5py.File, name: str) -> None:
    file.create_dataset(name, (3,), h5py.vlen_dtype("f8"))[0] = np.ones(5)


def _enumeration(file: h5py.File, name: str) -> None:
    file.create_dataset(name, data=np.zeros((12, 3), "u1"), dtype=h5py.enum_dtype({"off": 0, "on": 1}, "u1"))


def _references(file: h5py.File, name: str) -> None:
    file.create_dataset(name, (12, 3), h5py.ref_dtype)


def _bits(file: h5py.File, name: str) -> None:
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.STD_B8LE, h5py.h5s.create_simple((12, 3)))


def _group_loop(file: h5py.File) -> None:
    file["entry_1/again"] = file["entry_1"]


def _deep(file: h5py.File) -> None:
    group = file
    for _ in range(1500):
        group = group.create_group("g")


def _many_links(file: h5py.File) -> None:
    for number in range(400):
        file[f"links/l{number}"] = h5py.SoftLink(f"/links/l{number + 1}")


def _large_attribute(file: h5py.File) -> None:
    file["entry_1"].attrs["note"] = "x" * 60_000
    file["entry_1"].attrs[b"\xff\xfe"] = 1
    file["entry_1/data_1"].attrs["units"] = np.zeros((3, 3))


def _odd_names(file: h5py.File) -> None:
    file.create_group(b"entry_1/\xff\xfe")
    file.create_group("entry_1/" + "n" * 5000)
    file.create_group("entry_1/\x1b[31m\n")


SPECIAL: dict[str, Change] = {
    "positions of 2^40 rows": _special(_huge),
    "frames of 2^40 rows": _special(_huge, "frames"),
    "a mask of 2^40 rows": _special(_huge, "mask"),
    "an object of 2^40 rows": _special(_huge, "object"),
    "a recipe that is packed a thousand times": _special(_packed, "recipe"),
    "positions as lists": _special(_lists),
    "a recipe as lists": _special(_lists, "recipe"),
    "an enumeration": _special(_enumeration),
    "references": _special(_references),
    "a bit field": _special(_bits),
    "an energy that is empty": _put("energy", h5py.Empty("f8")),
    "a group in a group": _group_loop,
    "1500 groups, one in the other": _deep,
    "400 links, one to the other": _many_links,
    "absurd attributes": _large_attribute,
    "absurd names": _odd_names,
    "a recipe of nested brackets": _put("recipe", "[" * 20_000 + "]" * 20_000),
    "choices of nested brackets": _put("choices", "[" * 900 + "]" * 900),
    "left-out frames that do not exist": _put("left_out", '{"a": [999999999999999999999]}'),
    "left-out frames of booleans": _put("left_out", '{"a": [true]}'),
    "held-out frames that do not exist": _put("held_out", np.array([-5, 3, 999])),
    "a recipe with NaN": _put("recipe", '{"stages": [{"iterations": NaN}]}'),
    "a recipe whose stages are a number": _put("recipe", '{"stages": 3, "detector": 1}'),
    "preparation of other fields": _put("preparation", '[{"heading": 1, "name": 2, "settings": 3, "why": 4}]'),
    "a recipe with an unknown detector": _put("recipe", '{"detector": {"saturated": 7, "unknown": 1}}'),
    "a truth of another shape": _put("true_y", np.zeros((1, 36))),
    "weights of another shape": _put("model_opr_weights", np.zeros((3, 1))),
}
CASES: dict[str, Change] = SPECIAL | {
    f"{name} as {key}": _put(key, value)
    for number, (name, value) in enumerate(ODD.items())
    for key in KEYS[number % 6 :: 6]
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    small_scan(12, 16, truth=small_truth(small_scan(12, 16))).save(folder / "scan.cxi")
    small_result(exitwave.open(folder / "scan.cxi")).save(folder / "result.cxi", embed=True)  # type: ignore[arg-type]
    return folder / "result.cxi"


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_read_or_refused(
    name: str, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("case.cxi").write_bytes(good.read_bytes())
    with h5py.File("case.cxi", "r+") as file:
        CASES[name](file)
    words = fuzz_verbs.WORDS[:3] if name in SPECIAL else fuzz_verbs.WORDS[:1]
    wrong = [found for each in words if (found := fuzz_verbs.run(each))]
    assert not wrong, "\n".join(wrong)
