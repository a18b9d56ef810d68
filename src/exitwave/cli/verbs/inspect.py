"""``exitwave inspect``: show what a file contains."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from exitwave.cli.document import print_json
from exitwave.cli.options import Input, Json, Set
from exitwave.cli.register import verb
from exitwave.cli.settings import parse_settings

if TYPE_CHECKING:
    from rich.tree import Tree

    from exitwave.cli.console import Console
    from exitwave.cxi.inspect import Node

LONGEST = 60
"""Characters of a value in the tree; longer ones are cut."""


@verb(order=30, opens_files=True)
def inspect(path: Input, assignments: Set = None, as_json: Json = False) -> None:
    """Show the contents of a file and what is wrong with it.

    First the tree with shapes, types, units and links, then the properties of the scan or result, then diagnoses of the
    measurement and findings about the file.
    """
    import h5py

    from exitwave.analysis.diagnosis import diagnose
    from exitwave.analysis.summary import summarise
    from exitwave.analysis.summary_text import format_summary
    from exitwave.cli.console import Console, print_diagnoses, print_facts, print_findings
    from exitwave.cxi.validate import validate
    from exitwave.dialects.detect import read
    from exitwave.scan import scan_in, with_unreadable_frames

    out = Console(stderr=as_json)
    nodes = _show_tree(out, path) if h5py.is_hdf5(path) else []
    data = read(path, parse_settings(assignments))
    scan = scan_in(data)
    if not nodes and scan.path is not None and h5py.is_hdf5(scan.path):
        nodes = _show_tree(out, scan.path)
    summary, diagnoses = summarise(data, path), diagnose(data)
    own_format = not any(finding.code == "I307" for finding in scan.findings)
    noted = with_unreadable_frames(scan).findings
    findings = list(dict.fromkeys((*noted, *(validate(path, quick=True) if own_format else ()))))
    errors = sum(finding.level == "error" for finding in findings)
    out.print()
    print_facts(out, format_summary(summary))
    out.print()
    print_diagnoses(out, diagnoses)
    print_findings(out, (finding for finding in findings if finding.level != "error"))
    if errors:
        out.print(f"The file violates the schema in {errors} places. To list them: exitwave validate {path}")
    if as_json:
        print_json({"file": path, "tree": nodes, "summary": summary, "diagnoses": diagnoses, "findings": findings})


def _show_tree(out: "Console", file: Path) -> list["Node"]:
    """Print the tree of an HDF5 file, and return its nodes."""
    from exitwave.cxi.inspect import tree

    nodes = tree(file)
    out.lay_out(draw(str(file), nodes))
    return nodes


def draw(name: str, nodes: Iterable["Node"]) -> "Tree":
    """Return nodes as a tree to print; each group must come before its members."""
    from rich.text import Text
    from rich.tree import Tree

    root = Tree(Text(name, style="bold"))
    branches = {"/": root}
    for node in nodes:
        if node.path == "/":
            continue
        parent, _, leaf = node.path.rpartition("/")
        style = "bold" if node.kind == "group" else "red" if node.kind == "dangling link" else ""
        label = Text(leaf, style=style).append(_details(node), style="not bold dim")
        branches[node.path] = branches[parent or "/"].add(label)
    return root


def _details(node: "Node") -> str:
    """Return shape, type, value, units and target of a node in one line."""
    parts = [f"-> {node.target}" + (" (broken link)" if node.kind == "dangling link" else "")] if node.target else []
    if node.shape is not None:
        parts.append(f"{' x '.join(map(str, node.shape))} {node.dtype}".strip())
    value = "" if node.value is None else str(node.value)
    shown = f"{value[:LONGEST]}..." if len(value) > LONGEST else value
    parts.append(f"{shown} {node.units}".strip())
    parts += [f"@{key} = {value}" for key, value in node.attributes.items()] if node.kind == "group" else []
    return "".join(f"  {part}" for part in parts if part)
