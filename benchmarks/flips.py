"""Flip single bits in the storage of the datasets of a scan and of a result, and count how many `verify` finds.

python benchmarks/flips.py --flips 1000
"""

import argparse
import collections
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from bit_flips import flipped, random_bits
from samples import small_result, small_scan, small_truth

import exitwave
from exitwave.cxi.verify import verify_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=1000, help="flips in each file")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scan, result = Path(folder, "scan.cxi"), Path(folder, "result.cxi")
        small_scan(npos=40, side=32, truth=small_truth(small_scan(npos=40, side=32))).save(scan)
        small_result(scan=exitwave.open(scan)).save(result)
        for file in (scan, result):
            _flip(file, options.flips, options.seed)


def _flip(file: Path, flips: int, seed: int) -> None:
    counts, missed, begin = collections.Counter(), [], time.perf_counter()
    assert verify_file(file).status == "intact"
    for name, offset, bit in random_bits(file, flips, seed):
        with flipped(file, offset, bit):
            found = verify_file(file)
        named = name == "/entry_1/digests" or any(item.path == name and item.status != "intact" for item in found.items)
        counts[found.status, "named" if named else "not named"] += 1
        if found.intact:
            missed.append((name, offset, bit))
    seconds = time.perf_counter() - begin
    print(f"{file.name}: {flips - len(missed)} of {flips} flips found in {seconds:.0f} s; {dict(counts)}")
    for each in missed:
        print("  missed:", *each)


if __name__ == "__main__":
    main()
