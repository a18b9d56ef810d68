import json
from pathlib import Path

import h5py
import numpy as np
from samples import small_scan

from exitwave.cxi.inspect import tree
from exitwave.cxi.schema import path


def test_the_tree_shows_every_object_with_shape_type_units_and_value(result_file: Path) -> None:
    nodes = {node.path: node for node in tree(result_file)}
    with h5py.File(result_file) as file:
        names: list[str] = ["/"]
        file.visit_links(lambda name: names.append(f"/{name}"))
    assert set(nodes) == set(names)
    energy = nodes[path("energy")]
    assert (energy.kind, energy.shape, energy.dtype) == ("dataset", (), "float64")
    assert (energy.units, energy.value, energy.meaning) == ("eV", 8800.25, "photon energy")
    assert nodes[path("name_dataset")].value == "biofilm §1"
    assert nodes[path("process")].attributes["algorithm"] == "rpie"
    assert nodes[path("frames")].kind == "external link"
    assert nodes[path("frames")].target == f"scan.cxi:{path('frames')}"
    link = nodes[path("data_frames")]
    assert (link.kind, link.shape, link.target) == ("soft link", (200, 64, 64), path("frames"))
    assert all(nodes[parent].kind == "group" for parent in (path("entry"), path("specific")))


def test_groups_are_listed_before_their_members(scan_file: Path) -> None:
    seen = set()
    for node in tree(scan_file):
        assert node.path == "/" or (node.path.rsplit("/", 1)[0] or "/") in seen
        seen.add(node.path)


def test_the_tree_can_be_written_as_json_for_any_values(scan_file: Path) -> None:
    with h5py.File(scan_file, "r+") as file:
        file["/odd/nan"] = np.nan
        file["/odd/complex"] = 1 + 2j
        file["/odd/empty"] = h5py.Empty("f4")
        file["/odd/bytes"] = np.bytes_("x")
        file["/odd/flag"] = True
        file["/odd/table"] = np.zeros(2, [("a", "f4"), ("b", "i4")])
        file["/odd"].attrs["many"] = np.arange(100)
        file["/odd"].attrs["empty"] = h5py.Empty("f4")
        file["/odd"].attrs["names"] = np.array([b"a", b"b"])
        file["/odd/loop"] = file["/entry_1"]
        file["/odd/itself"] = file["/odd"]
    nodes = [node.as_dict() for node in tree(scan_file)]
    json.dumps(nodes, allow_nan=False)
    values = {node["path"]: node["value"] for node in nodes}
    assert (values["/odd/nan"], values["/odd/bytes"], values["/odd/flag"]) == ("nan", "x", True)


def test_dangling_links_are_marked(scan_file: Path) -> None:
    with h5py.File(scan_file, "r+") as file:
        del file[path("frames")]
        file["/away"] = h5py.ExternalLink("gone.h5", "/data")
    nodes = {node.path: node for node in tree(scan_file)}
    assert nodes[path("data_frames")].kind == nodes["/away"].kind == "dangling link"
    assert nodes["/away"].target == "gone.h5:/data"
    assert nodes[path("data_positions")].shape == small_scan().positions.shape
