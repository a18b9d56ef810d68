from dataclasses import replace

import numpy as np
import pytest
from known import blank_scan, specimen, zone_plate

from exitwave.analysis.error import error_metric, recompute
from exitwave.errors import InputError
from exitwave.frames import Frames
from exitwave.positions.grid import object_grid
from exitwave.scan import Result

SHAPE, PIXEL = (24, 28), (12e-9, 10e-9)


def by_hand(result: Result) -> np.ndarray:
    """Return the counts of every frame by direct sums over Fourier matrices, from coordinates in metres."""
    ny, nx = SHAPE
    frames = []
    for px, py, _ in result.positions:
        # Probe samples are (index - n//2) pixels from the position; object samples are at y and x.
        rows = int(np.argmin(np.abs(result.y - py))) - ny // 2 + np.arange(ny)
        columns = int(np.argmin(np.abs(result.x - px))) - nx // 2 + np.arange(nx)
        interpolate = []
        for n, place in ((ny, (result.y[rows] - py) / PIXEL[0]), (nx, (result.x[columns] - px) / PIXEL[1])):
            q = np.arange(-(n // 2), n - n // 2) / n
            sampled = np.arange(n) - n // 2
            interpolate.append(np.exp(2j * np.pi * np.outer(place, q)) @ np.exp(-2j * np.pi * np.outer(q, sampled)) / n)
        fy, fx = (np.exp(-2j * np.pi * np.outer(np.arange(n) - n // 2, np.arange(n)) / n) for n in SHAPE)
        counts = np.zeros(SHAPE)
        for mode in result.probe.astype(complex):
            wave = (interpolate[0] @ mode @ interpolate[1].T) * result.object[np.ix_(rows, columns)]
            counts += np.abs(fy @ wave @ fx.T) ** 2 / (ny * nx)
        frames.append(counts)
    return np.array(frames)


@pytest.fixture
def result() -> Result:
    """Return a result whose frames are those of its model."""
    scan = blank_scan(SHAPE, npos=9, step=37e-9)
    y, x = object_grid(scan.positions, SHAPE, PIXEL)
    object = specimen((y.size, x.size)).astype(np.complex64)
    nothing = np.zeros(0, np.float32)
    mask = np.ones(object.shape, np.float32)
    held_out = np.array([1, 6])
    probe = zone_plate(SHAPE, 3)
    made = Result(scan, object, probe, x, y, scan.positions, mask, nothing, nothing, held_out, "ePIE", {}, {})
    return replace(made, scan=replace(scan, patterns=Frames(by_hand(made))))


def with_frames(result: Result, frames: np.ndarray) -> Result:
    return replace(result, scan=replace(result.scan, patterns=Frames(frames)))


def test_metric_is_the_sum_over_good_pixels():
    counts, model = np.array([[[4.0, 9.0], [16.0, 100.0]]]), np.array([[[1.0, 9.0], [9.0, 0.0]]])
    assert error_metric(counts, model, np.array([[0, 0], [0, 1]])) == pytest.approx((1 + 0 + 1) / (4 + 9 + 16))


def test_invalid_counts_are_excluded():
    counts = np.array([[4.0, np.nan, np.inf, -1.0]])
    assert error_metric(counts, np.ones((1, 4)), np.zeros((1, 4))) == pytest.approx(1 / 4)


def test_perfect_model_has_no_error(result):
    assert recompute(result) < 1e-12
    assert recompute(result, [1, 6]) < 1e-12


def test_error_agrees_with_direct_sums_over_the_used_frames(result):
    model = by_hand(result)
    frames = np.random.default_rng(2).poisson(model).astype(np.float32)
    frames[6] = 7.0
    measured = with_frames(result, frames)
    good = result.scan.detector.mask == 0

    def expected(chosen: list[int]) -> float:
        apart = (np.sqrt(frames[chosen].astype(float)) - np.sqrt(model[chosen])) ** 2
        return float(np.sum(apart * good) / np.sum(frames[chosen].astype(float) * good))

    assert recompute(measured) == pytest.approx(expected([0, 2, 3, 4, 5, 7, 8]), rel=1e-5)
    assert recompute(measured, [6]) == pytest.approx(expected([6]), rel=1e-5)
    assert recompute(measured, measured.held_out) == pytest.approx(expected([1, 6]), rel=1e-5)


def test_masked_pixels_and_invalid_counts_do_not_change_the_error(result):
    frames = result.scan.patterns[:].copy()
    frames[:, result.scan.detector.mask == 1] = 4e9
    frames[:, 10, 10] = np.nan
    frames[:, 11, 11] = -1
    assert recompute(with_frames(result, frames)) < 1e-12


@pytest.mark.parametrize("change", ["positions", "probe", "object"])
def test_every_array_of_the_result_changes_the_error(result, change):
    wrong = {
        "positions": result.positions + np.array([3e-9, 0, 0]),
        "probe": 1.02 * result.probe,
        "object": result.object * np.exp(0.02j * np.arange(result.x.size)) ** 2,
    }[change]
    assert recompute(replace(result, **{change: wrong})) > 1e-5


def test_positions_outside_the_object_and_empty_frames_are_refused(result):
    far = result.positions.copy()
    far[4, 0] += 1e-6
    with pytest.raises(InputError, match="position 4 lies outside the object"):
        recompute(replace(result, positions=far))
    with pytest.raises(InputError, match="no counts"):
        recompute(with_frames(result, np.zeros((9, *SHAPE), np.float32)))
