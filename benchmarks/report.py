"""What was measured, as a Markdown table and as a figure."""

import datetime
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import peer

from exitwave.analysis.area import largest_rectangle
from exitwave.figures import style

PACKAGES = ("exitwave", "numpy", "numba", "pyfftw", "scipy")


def markdown(measured: list[Any], effort: Any, load: float, lacking: str) -> str:
    """Return all numbers as Markdown; ``lacking`` says why the peer could not be measured, or is empty."""
    scan = f"Simulated 26-ID scan, {effort.frames} frames, 1 probe mode, 2e6 photons a frame, true probe to start from."
    turns = f"Both programs in turns, best of {effort.repeats}; float32 on the CPU; compiling and first pass left out."
    parts = ["# Speed", machine(measured, load), f"{scan} {turns}"]
    if lacking:
        parts.append(f"**pty-chi could not be measured: its environment cannot be made here ({lacking}).**")
    parts += ["## Frames per second", _throughput_table(measured)]
    parts.append(
        "Exitwave rPIE and ePIE with the settings as they come. pty-chi rPIE with random batches, at its default batch "
        f"of {peer.DEFAULT_BATCH} frames and at its fastest of those tried; the ratio is to the fastest, both with "
        "sub-pixel positions."
    )
    if not lacking:
        parts += ["### pty-chi by batch size", _batch_table(measured)]
    parts += ["## Time of a frame beside its two Fourier transforms alone, one thread", _limit_table(measured)]
    parts.append(
        "The transforms: one forward and one backward, the engine's own FFTW plans, in place and in cache. Sub-pixel "
        "positions take two more transforms a frame."
    )
    parts += [f"## Both reconstruct: {effort.quality_passes} passes, all cores", _quality_table(measured)]
    parts.append(
        "Error: relative norm of the difference of the complex object to the truth, about the mean, without scale, "
        "ramp and shift, over the same area. FRC: its lowest value up to Nyquist, against the truth. pty-chi's own "
        f"rPIE example has an object step of {peer.DOCUMENTED_STEP:g} and batches of about 100; its default step is "
        f"{peer.DEFAULT_STEP:g}, which needs small batches. Its seconds are those of a pass after the first, times the "
        "passes."
    )
    return "\n\n".join(parts) + "\n"


def machine(measured: list[Any], load: float) -> str:
    """Describe the machine, the libraries and the day."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = [f"{name} {version(name)}" for name in PACKAGES] + [f"Python {platform.python_version()}"]
    theirs = [f"{name} {number}" for name, number in measured[0].versions.items()]
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    busy = f"load average at the start {load:.2f}"
    return (
        f"{date}; {_cpu()}, {usable} cores, {busy}.\nVersions: {', '.join(found)}. Peer: {', '.join(theirs) or 'none'}."
    )


def _cpu() -> str:
    """Return the model of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def fastest(found: Any, threads: int) -> tuple[int, float] | None:
    """Return batch and frames per second of the peer's fastest run, or None."""
    rates = {batch: rate for (batch, n), rate in found.peer.items() if n == threads}
    return max(rates.items(), key=lambda item: item[1]) if rates else None


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---:"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _throughput_table(measured: list[Any]) -> str:
    head = ["Frame", "Threads", "Exitwave rPIE", "Exitwave rPIE, whole pixels", "Exitwave ePIE, sequential"]
    head += [f"pty-chi rPIE, batch {peer.DEFAULT_BATCH}", "pty-chi rPIE, fastest", "Exitwave / pty-chi fastest"]
    rows = []
    for found in measured:
        for threads in sorted(n for kind, n in found.ours if kind == "subpixel"):
            subpixel, sequential = found.ours["subpixel", threads], found.ours.get(("ePIE", threads))
            row = [f"{found.size} x {found.size}", str(threads), f"{subpixel:.0f}"]
            row += [f"{found.ours['whole', threads]:.0f}", f"{sequential:.0f}" if sequential else "-"]
            best = fastest(found, threads)
            if best:
                row += [f"{found.peer[peer.DEFAULT_BATCH, threads]:.0f}", f"{best[1]:.0f} (batch {best[0]})"]
                row += [f"**{subpixel / best[1]:.1f}**"]
            rows.append(row if best else [*row, "-", "-", "-"])
    return _table(head, rows)


def _batch_table(measured: list[Any]) -> str:
    batches = sorted({batch for batch, _ in measured[0].peer})
    head = ["Frame", "Threads", *(f"batch {batch}" for batch in batches)]
    rows = [
        [f"{found.size} x {found.size}", str(threads), *(f"{found.peer[batch, threads]:.0f}" for batch in batches)]
        for found in measured
        for threads in sorted({n for _, n in found.peer})
    ]
    return _table(head, rows)


def _limit_table(measured: list[Any]) -> str:
    head = ["Frame", "Two FFTs (µs)", "Frame, sub-pixel (µs)", "Ratio", "Frame, whole pixels (µs)", "Ratio"]
    rows = []
    for found in measured:
        row = [f"{found.size} x {found.size}", f"{1e6 * found.ffts:.1f}"]
        for kind in ("subpixel", "whole"):
            seconds = 1 / found.ours[kind, 1]
            row += [f"{1e6 * seconds:.1f}", f"**{seconds / found.ffts:.2f}**"]
        rows.append(row)
    return _table(head, rows)


def _quality_table(measured: list[Any]) -> str:
    rows = []
    for found in measured:
        for row in found.quality:
            numbers = [f"{row['seconds']:.1f}", f"{row['error']:.1%}", f"{row['frc']:.2f}"]
            rows.append([f"{found.size} x {found.size}", row["program"], row["settings"], *numbers])
    return _table(["Frame", "Program", "Settings", "Seconds", "Error", "Lowest FRC"], rows)


def phase(obj: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Return the phase about its mean over the largest rectangle inside the area."""
    part = obj[largest_rectangle(area)]
    return np.angle(part * np.conj(part.mean()))


@style.paper
def figure(measured: list[Any], path: Path) -> None:
    """Draw throughput, distance from the transforms alone, and the phase images at the first size."""
    names = [name for name in ("truth", "Exitwave", "pty-chi") if name in measured[0].images]
    drawing = style.new_figure(style.DOUBLE, 112)
    above, below = drawing.subfigures(2, 1, height_ratios=(6, 5))
    left, right = above.subplots(1, 2, width_ratios=(3, 2))
    _throughput_panel(left, measured)
    _limit_panel(right, measured)
    panels = below.subplots(1, len(names), squeeze=False)[0]
    span = np.abs(measured[0].images["truth"]).max()
    for axes, name in zip(panels, names, strict=True):
        style.image_panel(axes, f"Phase, {name}" if name != "truth" else "Phase, the truth")
        image = axes.imshow(measured[0].images[name], cmap="gray", vmin=-span, vmax=span)
    style.colour_bar(panels[-1], image, "rad")
    style.save(drawing, path)


def _throughput_panel(axes: Any, measured: list[Any]) -> None:
    series = {"Exitwave, whole pixels": [], "Exitwave, sub-pixel": [], "pty-chi, fastest batch": []}
    names = []
    for found in measured:
        for threads in sorted(n for kind, n in found.ours if kind == "subpixel"):
            names.append(f"{found.size} x {found.size}\n{threads} thread{'s' if threads > 1 else ''}")
            best = fastest(found, threads)
            rates = (found.ours["whole", threads], found.ours["subpixel", threads], best[1] if best else np.nan)
            for values, rate in zip(series.values(), rates, strict=True):
                values.append(rate)
    for i, ((label, values), colour) in enumerate(
        zip(series.items(), ("#9dbfe3", style.BLUE, style.ORANGE), strict=True)
    ):
        bars = axes.bar(np.arange(len(names)) + 0.28 * (i - 1), values, 0.26, color=colour, label=label)
        axes.bar_label(bars, fmt=lambda rate: f"{rate:.0f}" if rate > 0 else "", fontsize=6, padding=1)
    axes.set(yscale="log", ylabel="rPIE, frames per second", xticks=range(len(names)), xticklabels=names)
    axes.margins(y=0.25)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, columnspacing=1.2, handlelength=1.2)
    axes.spines[["top", "right"]].set_visible(False)


def _limit_panel(axes: Any, measured: list[Any]) -> None:
    places = np.arange(len(measured))
    for i, (kind, colour) in enumerate((("whole", "#9dbfe3"), ("subpixel", style.BLUE))):
        bars = axes.bar(places + 0.34 * (i - 0.5), [1 / f.ours[kind, 1] / f.ffts for f in measured], 0.32, color=colour)
        axes.bar_label(bars, fmt="%.2f", fontsize=6, padding=1)
    axes.axhline(1, color="black", lw=0.8, ls=":", label="the two FFTs alone")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
    axes.set(ylabel="Time of a frame / two FFTs", xticks=places)
    axes.set_xticklabels([f"{found.size} x {found.size}\n1 thread" for found in measured])
    axes.spines[["top", "right"]].set_visible(False)
