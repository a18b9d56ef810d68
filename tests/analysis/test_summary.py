import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import small_result, small_scan

from exitwave.analysis.scan_pattern import guess_scan_pattern
from exitwave.analysis.summary import summarise
from exitwave.cxi.read import read
from exitwave.frames import Frames
from exitwave.optics import probe_diameter
from exitwave.positions import concentric_rings, fermat_spiral, jittered_grid, object_grid, raster


def alternating(positions: np.ndarray, columns: int) -> np.ndarray:
    lines = positions.reshape(-1, columns, 3).copy()
    lines[1::2] = lines[1::2, ::-1]
    return lines.reshape(-1, 3)


RASTER = raster((20, 17), 1e-7)
NOISE = np.random.default_rng(4).normal(size=(400, 3))


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        (RASTER, "raster"),
        (RASTER[:, [1, 0, 2]], "raster"),
        (alternating(RASTER, 17), "raster"),
        (RASTER[:-5] * [-1, 1, 1], "raster"),
        (fermat_spiral(300), "fermat"),
        (fermat_spiral(400) + NOISE * 2e-8, "fermat"),
        (concentric_rings(8, 6, 1e-7), "rings"),
        (concentric_rings(11, 6, 1e-7)[:360], "rings"),
        (jittered_grid((20, 20), 1e-7, 3e-8), "jittered grid"),
        (NOISE * 1e-6, "unknown"),
        (np.zeros((400, 3)), "unknown"),
        (RASTER[:5], "unknown"),
    ],
)
def test_scan_pattern_is_recognised(positions: np.ndarray, expected: str) -> None:
    assert guess_scan_pattern(positions) == expected
    assert guess_scan_pattern(positions * 7 + 1e-3) == expected


def test_summary_of_a_scan_agrees_with_the_scan(scan_file: Path) -> None:
    scan = read(scan_file)
    summary = summarise(scan)
    json.dumps(summary, allow_nan=False)
    assert (summary["frames"], summary["detector"]["shape"], summary["detector"]["masked"]) == (200, [64, 64], 3)
    assert (summary["energy"], summary["wavelength"]) == (scan.energy, scan.wavelength)
    assert summary["scan"]["pattern"] == "fermat"
    assert summary["scan"]["probe_from"] == "file"
    diameter = probe_diameter(scan.probe, scan.object_pixel)
    assert summary["scan"]["overlap"] == pytest.approx(1 - summary["scan"]["step"] / diameter)
    assert summary["size_on_disk"] == scan_file.stat().st_size
    grid = object_grid(scan.positions, (64, 64), scan.object_pixel)
    assert summary["object_shape"] == [len(axis) for axis in grid]
    assert summary["truth"]
    assert summary["result"] is None


def test_counts_are_those_of_good_pixels() -> None:
    scan = small_scan()
    stack = scan.patterns[:].copy()
    stack[:, 3, 4] = 1e9  # masked
    stack[:, 20, 20] = 70_000  # saturated
    stack[:, 30, 30] = np.nan
    counts = summarise(replace(scan, patterns=Frames(stack)))["counts"]
    assert counts["sampled"] == 64
    assert counts["brightest"] == 70_000
    assert counts["saturated_pixels"] == 1
    assert counts["bad_counts"] == 64
    good = np.where(scan.detector.mask == 1, 0, np.nan_to_num(stack)).sum(axis=(1, 2))
    assert good.min() <= counts["minimum"] <= counts["median"] <= counts["maximum"] <= good.max()


def test_without_a_probe_its_diameter_comes_from_the_mean_pattern() -> None:
    pupil = np.hypot(*(np.mgrid[:64, :64] - 32)) < 10
    scan = small_scan(probe=None, patterns=Frames(np.repeat(100.0 * pupil[None], 200, axis=0)))
    described = summarise(scan)["scan"]
    assert described["probe_from"] == "mean pattern, in focus"
    airy = 1.22 * 64 / 20 * scan.object_pixel[0]
    assert 0.5 * airy < described["probe_diameter"] < 2 * airy


def test_without_counts_the_overlap_is_unknown() -> None:
    described = summarise(small_scan(probe=None, patterns=Frames(np.zeros((200, 64, 64)))))["scan"]
    assert described["overlap"] is None


def test_summary_of_a_result_has_its_error_modes_and_iterations(scan_file: Path, result_file: Path) -> None:
    summary = summarise(read(result_file))
    assert summary["result"]["algorithm"] == "rpie"
    assert summary["result"]["error"] == pytest.approx(0.1)
    assert summary["result"]["holdout_error"] == pytest.approx(0.2)
    assert (summary["result"]["iterations"], summary["result"]["modes"]) == (5, 2)
    assert summary["result"]["mode_powers"] == pytest.approx([0.8, 0.2])
    json.dumps(summary, allow_nan=False)
    both = scan_file.stat().st_size + result_file.stat().st_size
    assert summarise(read(result_file), result_file)["size_on_disk"] == both
    in_memory = summarise(small_result(small_scan()))
    assert in_memory["size_on_disk"] is None


def test_saturated_pixels_are_those_that_the_engine_excludes() -> None:
    scan = small_scan()
    stack = np.ones((200, 64, 64), np.float32)
    stack[:, 10, 11:14] = scan.detector.saturation
    counted = summarise(replace(scan, patterns=Frames(stack)))["counts"]["saturated_pixels"]
    assert counted == 3 == np.count_nonzero(~scan.detector.usable(stack[0])) - np.count_nonzero(scan.detector.mask)


def test_summary_of_a_result_without_frames_has_no_counts(scan_file: Path, result_file: Path) -> None:
    whole = summarise(read(result_file))
    scan_file.unlink()
    summary = summarise(read(result_file))
    assert summary["counts"] is None
    assert summary["scan"] == whole["scan"]
    assert summary["result"] == whole["result"]


def test_summary_has_the_rms_of_refined_positions(tmp_path):
    result = small_result(small_scan())
    assert summarise(replace(result, positions=result.scan.positions))["result"]["moved"] is None
    moved = summarise(replace(result, positions=result.scan.positions + 2e-9))["result"]["moved"]
    assert moved["metres"] < 1e-20  # a common shift only moves the object
    step = np.where(np.arange(len(result.positions)) % 2, 1.0, -1.0)[:, None] * np.array([result.object_pixel[1], 0, 0])
    moved = summarise(replace(result, positions=result.scan.positions + step))["result"]["moved"]
    assert moved == {"metres": pytest.approx(result.object_pixel[1]), "pixels": pytest.approx(1.0)}
