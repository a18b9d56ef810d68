"""The Fourier transforms of the CPU's loops beside FFTW's, of which they take the place. Prints a Markdown table.

    python benchmarks/transforms.py [LENGTH ...]

Squares of one wave, in place, on one thread, rows and columns by themselves; FFTW as pyFFTW packages it, with patient
plans in the layout and the number of rows and columns that suit it best. Measured in turns, the best of each.
"""

import argparse
import time
from unittest.mock import patch

from common import table

from exitwave.engine.backends.cpu.fft import butterflies, transforms
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.waves import transform_columns, transform_rows

LENGTHS = (48, 64, 96, 128, 192, 256, 400, 512, 1024)
TURNS, NUMBERS = 15, 2_000_000
"""Repeats, and complex numbers transformed in each."""


@compiled
def repeat(wave, plans, along, across, times):
    """Transform a wave so many times, rows, columns or both."""
    for _ in range(times):
        if along:
            transform_rows(plans.rows_forward, wave, plans)
        if across:
            transform_columns(plans.columns_forward, wave, plans)


def seconds(n, plans, along):
    """Return the seconds that the rows, or the columns, of one wave take."""
    wave, times = transforms.zeros(1, plans.height, 2 * plans.stride), max(1, NUMBERS // n**2)
    repeat(wave, plans, along, not along, 1)
    start = time.perf_counter()
    repeat(wave, plans, along, not along, times)
    return (time.perf_counter() - start) / times


def row(n):
    """Return a line of the table."""
    own = transforms.plans((n, n))
    with patch.object(butterflies, "factors", lambda n: None):
        packaged = transforms.plans.__wrapped__((n, n))
    best = dict.fromkeys(((who, along) for along in (True, False) for who in (packaged, own)), float("inf"))
    for _ in range(TURNS):
        for plans, along in best:
            best[plans, along] = min(best[plans, along], seconds(n, plans, along))
    cells = [f"{1e6 * value:.1f}" for value in best.values()]
    ratios = [f"**{best[packaged, along] / best[own, along]:.2f}**" for along in (True, False)]
    return [str(n), *cells[:2], ratios[0], *cells[2:], ratios[1]]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lengths", type=int, nargs="*", default=LENGTHS)
    head = ["Length", "Rows, FFTW (µs)", "own", "Ratio", "Columns, FFTW (µs)", "own", "Ratio"]
    print(table(head, [row(n) for n in parser.parse_args().lengths]))
