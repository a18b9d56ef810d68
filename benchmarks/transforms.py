"""The CPU backend's own Fourier transforms beside those of FFTW. Prints a Markdown table.

    python benchmarks/transforms.py [LENGTH ...]

One square wave, in place, on one thread, rows and columns separately; FFTW as in pyFFTW, with patient plans in the
layout and the number of rows and columns that are fastest for it. Alternating measurements, best of each.
"""

import argparse
import time
from unittest.mock import patch

from common import table

from exitwave.engine.backends.cpu.fft import butterflies, transforms
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.waves import transform_columns, transform_rows

LENGTHS = (48, 64, 96, 128, 192, 256, 400, 512, 1024)
REPEATS, NUMBERS = 15, 2_000_000
"""Number of measurements, and complex numbers transformed in each."""


@compiled
def repeat(wave, plans, along, across, times):
    """Transform a wave repeatedly: rows, columns or both."""
    for _ in range(times):
        if along:
            transform_rows(plans.rows_forward, wave, plans)
        if across:
            transform_columns(plans.columns_forward, wave, plans)


def seconds(n, plans, along):
    """Return the seconds to transform the rows, or the columns, of one wave."""
    wave, times = transforms.zeros(1, plans.height, 2 * plans.stride), max(1, NUMBERS // n**2)
    repeat(wave, plans, along, not along, 1)
    start = time.perf_counter()
    repeat(wave, plans, along, not along, times)
    return (time.perf_counter() - start) / times


def row(n):
    """Return a row of the table."""
    own = transforms.plans((n, n))
    with patch.object(butterflies, "factors", lambda n: None):
        packaged = transforms.plans.__wrapped__((n, n))
    best = dict.fromkeys(((plans, along) for along in (True, False) for plans in (packaged, own)), float("inf"))
    for _ in range(REPEATS):
        for plans, along in best:
            best[plans, along] = min(best[plans, along], seconds(n, plans, along))
    cells = [f"{1e6 * value:.1f}" for value in best.values()]
    ratios = [f"**{best[packaged, along] / best[own, along]:.2f}**" for along in (True, False)]
    return [str(n), *cells[:2], ratios[0], *cells[2:], ratios[1]]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lengths", type=int, nargs="*", default=LENGTHS)
    head = ["Length", "Rows, FFTW (µs)", "Exitwave", "Ratio", "Columns, FFTW (µs)", "Exitwave", "Ratio"]
    print(table(head, [row(n) for n in parser.parse_args().lengths]))
