"""Settings and helpers that the parts of the benchmark share."""

import sys
from dataclasses import dataclass
from pathlib import Path

from peer import HERE, Peer

from exitwave.engine.backends.cpu.threads import default_threads

OUT = HERE / "out"
"""Intermediate measurements, and the output of --quick."""
Pythons = dict[Peer, Path]
"""The Python interpreter of each peer that can run here."""


@dataclass(frozen=True)
class Effort:
    """Amount of work."""

    sizes: tuple[int, ...]
    """Pixels along a frame, for throughput; the next for the peers."""
    peer_sizes: tuple[int, ...]
    modes: tuple[int, ...]
    thinning: int
    """Divisor of the number of frames of the scans."""
    seconds: float
    """Time of one measurement of throughput; at least one pass is measured."""
    repeats: int
    """Number of alternating measurements of all programs; the best one is reported."""
    epochs: int
    """Epochs of the peers in the comparison of quality."""
    large: tuple[int, int]
    """Number of frames, and pixels along a frame, of the scan for the measurement of memory."""


FULL = Effort((64, 128, 256, 512), (128, 256), (1, 2, 4, 8), 1, 0.4, 2, 60, (4000, 256))
QUICK = Effort((64,), (64,), (1, 2), 8, 0.02, 1, 4, (200, 128))


def thread_counts() -> list[int]:
    """Return 1 and the number of cores."""
    return sorted({1, default_threads()})


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table with right-aligned cells."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---:"] * len(head), *rows))


def count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where needed."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def announce(text: str) -> None:
    """Print a line of progress to stderr."""
    print(text, file=sys.stderr, flush=True)
