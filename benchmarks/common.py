"""What the parts of the benchmark share."""

import sys
from dataclasses import dataclass
from pathlib import Path

from peer import HERE, Peer

from exitwave.engine.backends.cpu.threads import default_threads

OUT = HERE / "out"
"""What is measured on the way, and what --quick writes."""
Pythons = dict[Peer, Path]
"""The Python of every peer that can be run here."""


@dataclass(frozen=True)
class Effort:
    """How much is done."""

    sizes: tuple[int, ...]
    """Pixels along a frame, for throughput."""
    peer_sizes: tuple[int, ...]
    modes: tuple[int, ...]
    thinning: int
    """Scans have their frames divided by this."""
    seconds: float
    """Time of a measurement of throughput, where one pass does not take longer."""
    repeats: int
    """Times that programs are measured in turns; the best counts."""
    epochs: int
    """Passes of the peers on the way to quality."""
    large: tuple[int, int]
    """Frames, and pixels along each, of the scan that measures memory."""


FULL = Effort((64, 128, 256, 512), (128, 256), (1, 2, 4, 8), 1, 0.4, 2, 60, (4000, 256))
QUICK = Effort((64,), (64,), (1, 2), 8, 0.02, 1, 4, (200, 128))


def thread_counts() -> list[int]:
    """Return 1 and the number of cores."""
    return sorted({1, default_threads()})


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table, numbers to the right."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---:"] * len(head), *rows))


def count(number: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)
