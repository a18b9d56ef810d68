"""The report of the measurements: Markdown and a figure."""

import datetime
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import memory
import numpy as np
import quality
import throughput

from exitwave.figures import style

PARTS: dict[str, ModuleType] = {"throughput": throughput, "quality": quality, "memory": memory}
"""Parts of the benchmark: modules with `measure` and `markdown`."""
PACKAGES = ("exitwave", "numpy", "numba", "pyfftw", "scipy")


def markdown(measured: Mapping[str, dict[str, Any]]) -> str:
    """Return the report of the measured parts."""
    parts = [
        "# Speed, quality and memory",
        "Float32 on the CPU. The ratios are from one run each; seconds depend on the machine.",
    ]
    for name, part in PARTS.items():
        if name in measured:
            title, *rest = part.markdown(measured[name])
            parts += [title, measured[name]["machine"], *measured[name]["lacking"], *rest]
    return "\n\n".join(parts) + "\n"


def machine(load: float, versions: Mapping[str, str]) -> str:
    """Return date, machine and library versions; ``load`` is the load average before the measurement."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = [f"{name} {version(name)}" for name in PACKAGES] + [f"Python {platform.python_version()}"]
    peers = ", ".join(f"{name} {number}" for name, number in versions.items())
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    return (
        f"{date}; {_cpu()}, {usable} cores, load average at the start {load:.2f}.\n"
        f"Versions: {', '.join(found)}.{f' Peers: {peers}.' if peers else ''}"
    )


def _cpu() -> str:
    """Return the model of the processor, where the system provides it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


@style.paper
def figure(measured: Mapping[str, dict[str, Any]], path: Path) -> None:
    """Draw throughput, time to quality and the phase images of the measured parts."""
    sets = [data_set for data_set in measured.get("quality", {}).get("sets", ()) if data_set["curves"]]
    heights = [58] * ("throughput" in measured) + [105] * bool(sets) + [50] * len(sets)
    if not heights:
        return
    drawing = style.new_figure(style.DOUBLE, sum(heights))
    rows = iter(np.atleast_1d(drawing.subfigures(len(heights), 1, height_ratios=heights)))
    if "throughput" in measured:
        throughput.draw(measured["throughput"], *next(rows).subplots(1, 2, width_ratios=(3, 2)))
    if sets:
        panels = next(rows).subplots(1, len(sets), squeeze=False)[0]
        for axes, data_set in zip(panels, sets, strict=True):
            quality.draw_curves(data_set, axes)
    for data_set in sets:
        _images(next(rows), data_set)
    style.save(drawing, path)


def _images(row: Any, data_set: dict[str, Any]) -> None:
    """Draw the phase images of all programs on one scale."""
    images = quality.pictures(data_set)
    span = np.percentile(np.abs(next(iter(images.values()))), 99.5)
    panels = row.subplots(1, len(images), squeeze=False)[0]
    for axes, (name, image) in zip(panels, images.items(), strict=True):
        style.image_panel(axes, name)
        drawn = axes.imshow(image, cmap="gray", vmin=-span, vmax=span)
    style.colour_bar(panels[-1], drawn, "rad")
