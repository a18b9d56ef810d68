"""``exitwave inspect``: what is in the file."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exitwave.cli.document import print_json
from exitwave.cli.options import Input, Json, Set, parse_settings
from exitwave.units import show

if TYPE_CHECKING:
    from rich.tree import Tree

    from exitwave.cli.console import Console
    from exitwave.cxi.inspect import Node

LONGEST = 60
"""Characters of a value that are shown in the tree."""


def inspect(path: Input, pairs: Set = None, as_json: Json = False) -> None:
    """Show what is in a file, in words and units.

    First the tree with shapes, types, units and links; then what was measured; then what is wrong with it, and what is
    odd in the file.
    """
    import h5py

    import exitwave
    from exitwave.analysis.diagnosis import diagnose
    from exitwave.analysis.summary import summarise
    from exitwave.cli.console import Console, print_diagnoses, print_facts, print_findings
    from exitwave.cxi.validate import validate
    from exitwave.scan import scan_in

    out = Console(stderr=as_json)
    nodes = _show_tree(out, path) if h5py.is_hdf5(path) else []
    data = exitwave.open(path, **parse_settings(pairs))
    scan = scan_in(data)
    if not nodes and scan.path is not None and h5py.is_hdf5(scan.path):
        nodes = _show_tree(out, scan.path)
    summary, diagnoses = summarise(data, path), diagnose(data)
    ours = not any(finding.code == "I307" for finding in scan.findings)
    findings = list(dict.fromkeys((*scan.findings, *(validate(path) if ours else ()))))
    departures = sum(finding.level == "error" for finding in findings)
    out.print()
    print_facts(out, facts(summary))
    out.print()
    print_diagnoses(out, diagnoses)
    print_findings(out, (finding for finding in findings if finding.level != "error"))
    if departures:
        out.print(f"It departs from the schema in {departures} places; exitwave validate says where.")
    if as_json:
        print_json({"file": path, "tree": nodes, "summary": summary, "diagnoses": diagnoses, "findings": findings})


def _show_tree(out: "Console", place: Path) -> list["Node"]:
    from exitwave.cxi.inspect import tree

    nodes = tree(place)
    out.lay_out(draw(str(place), nodes))
    return nodes


def draw(name: str, nodes: Iterable["Node"]) -> "Tree":
    """Return the nodes, each group before what it holds, as a tree to print."""
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
    parts = [f"-> {node.target}" + (" (leads nowhere)" if node.kind == "dangling link" else "")] if node.target else []
    if node.shape is not None:
        parts.append(f"{' x '.join(map(str, node.shape))} {node.dtype}".strip())
    value = "" if node.value is None else str(node.value)
    shown = f"{value[:LONGEST]}..." if len(value) > LONGEST else value
    parts.append(f"{shown} {node.units}".strip())
    parts += [f"@{key} = {value}" for key, value in node.attributes.items()] if node.kind == "group" else []
    return "".join(f"  {part}" for part in parts if part)


def facts(summary: dict[str, Any]) -> dict[str, str]:
    """Return a summary (see `exitwave.analysis.summary`) in words with units."""
    detector, scan, result = (summary[key] for key in ("detector", "scan", "result"))
    words = {
        "sample": " at ".join(part for part in (summary["name"], summary["instrument"]) if part) or "not named",
        "about": summary["description"],
        "frames": f"{summary['frames']} of {_times(detector['shape'])} pixels",
        "detector": f"pixels of {_times(detector['pixel_size'], 'm')}, {_distance(detector, result)} away",
        "energy": f"{show(summary['energy'], 'eV')}, wavelength {show(summary['wavelength'], 'm')}",
        "object pixel": _times(summary["object_pixel"], "m"),
        "object": f"{_times(summary['object_shape'])} pixels",
        "field scanned": _times(summary["field_of_view"], "m", 3),
        "scan pattern": f"{scan['pattern']}, neighbours {show(scan['step'], 'm', 3)} apart",
        "overlap": _overlap(scan),
        "counts a frame": _counts(summary["counts"]),
        "bad pixels": _bad_pixels(detector, summary["counts"]),
        "size on disk": "" if summary["size_on_disk"] is None else show(summary["size_on_disk"], "B", 3),
        "truth": "in the file" if summary["truth"] else "",
        "result": "none yet: exitwave reconstruct" if result is None else _result(result),
        "positions": _moved(result["moved"]) if result and result["moved"] else "",
    }
    return {name: text for name, text in words.items() if text}


def _distance(detector: dict[str, Any], result: dict[str, Any] | None) -> str:
    """Return the distance of the detector, and what it was before a result refined it."""
    assumed = result["assumed_distance"] if result else None
    return show(detector["distance"], "m", 5) + (f" (refined from {show(assumed, 'm', 5)})" if assumed else "")


def _times(pair: list[Any], unit: str = "", digits: int = 4) -> str:
    """Return a pair (y, x), plain numbers or with a unit, as ``a x b``."""
    return " x ".join(show(number, unit, digits) if unit else str(number) for number in pair)


def _counts(counts: dict[str, Any] | None) -> str:
    if counts is None:
        return "unknown: the frames are missing"
    return (
        f"{counts['median']:.3g} (from {counts['minimum']:.3g} to {counts['maximum']:.3g}), "
        f"brightest pixel {counts['brightest']:.3g}, in {counts['sampled']} frames looked at"
    )


def _bad_pixels(detector: dict[str, Any], counts: dict[str, Any] | None) -> str:
    share = detector["masked"] / (detector["shape"][0] * detector["shape"][1])
    masked, limit = f"{detector['masked']} masked ({share:.2%})", detector["saturation"]
    if counts is None:
        return masked
    saturation = "no saturation known" if limit is None else f"saturated from {limit:g} on"
    return f"{masked}, {counts['saturated_pixels']} saturated ({saturation}), {counts['bad_counts']} impossible counts"


def _overlap(scan: dict[str, Any]) -> str:
    if scan["overlap"] is None:
        return ""
    diameter = show(scan["probe_diameter"], "m", 3)
    return f"{scan['overlap']:.0%} of the probe's diameter, {diameter} (from the {scan['probe_from']})"


def _result(result: dict[str, Any]) -> str:
    error = "" if result["error"] is None else f", error {result['error']:.4g}"
    held_out = "" if result["holdout_error"] is None else f", held-out {result['holdout_error']:.4g}"
    modes = f"{result['modes']} probe mode{'s' * (result['modes'] != 1)}"
    return f"{result['algorithm']}, {result['iterations']} iterations, {modes}{error}{held_out}"


def _moved(moved: dict[str, float]) -> str:
    return f"moved by {show(moved['metres'], 'm', 3)} rms, {moved['pixels']:.3g} object pixels"
