from dataclasses import replace

import numpy as np
import pytest
from known import known_result
from samples import small_result, small_scan
from scipy.spatial import cKDTree

import exitwave
from exitwave.errors import InputError
from exitwave.frames import Frames
from exitwave.reconstruction.half_scan_frc import HalfCounts, default_split, half_scan_frc, split_counts, split_frames
from exitwave.simulation import simulate


def test_the_halves_share_no_frame_and_cover_the_same_area():
    result = small_result(small_scan(npos=201))
    first, second = split_frames(result)
    left_out = {index for indices in result.scan.left_out.values() for index in indices}
    assert set(first) | set(second) == set(range(201)) - left_out
    assert not set(first) & set(second)
    assert len(first) - len(second) in (0, 1)
    plane = result.positions[:, :2]
    step = np.median(cKDTree(plane).query(plane, k=2)[0][:, 1])
    for half in (first, second):
        assert cKDTree(plane[half]).query(plane)[0].max() < 2.5 * step


def test_too_few_frames_are_refused():
    with pytest.raises(InputError, match="too few frames"):
        split_frames(known_result(npos=10))


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_two_halves_of_the_counts_add_up_to_the_whole(dtype):
    stack = np.random.default_rng(0).poisson(3.0, (40, 8, 6)).astype(dtype)
    stack[3, 1, 1], stack[4, 2, 2] = 900, np.iinfo(dtype).max if dtype == np.uint16 else -1
    source = Frames(stack)
    first, second = (HalfCounts(source, 900.0, second=k) for k in (False, True))
    assert first.dtype == dtype
    kept = np.zeros(stack.shape, bool)
    kept[3, 1, 1] = kept[4, 2, 2] = True
    np.testing.assert_array_equal(first[:][kept], stack[kept])
    np.testing.assert_array_equal(second[:][kept], stack[kept])
    np.testing.assert_array_equal((first[:] + second[:])[~kept], stack[~kept])
    np.testing.assert_array_equal(np.concatenate([block for _, block in first.blocks(7)]), first[:])
    np.testing.assert_array_equal(list(first.pick([5, 2])), first[[5, 2]])
    np.testing.assert_array_equal(first[5, 1:3], first[:][5, 1:3])


def test_two_halves_of_poisson_counts_are_independent():
    source = Frames(np.random.default_rng(1).poisson(5.0, (30, 32, 32)))
    one, two = (HalfCounts(source, None, second=k)[:].ravel() for k in (False, True))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.02
    assert one.var() == pytest.approx(2.5, rel=0.05)


@pytest.mark.parametrize("split", ["counts", "frames"])
@pytest.mark.parametrize("photons", [1.5e5, 3e5])
def test_two_halves_give_the_resolution_relative_to_the_truth(photons, split):
    scan = simulate(detector=128, frames=120, photons=photons, seed=4)
    scan = replace(scan, patterns=Frames(scan.patterns[:]))
    result = exitwave.reconstruct(scan, iterations=25, threads=1)
    calls = []
    found = half_scan_frc(result, lambda half, progress: calls.append((half, progress.iteration)), split=split)
    assert found.halves == split
    assert calls == [(half, k) for half in (1, 2) for k in range(1, 26)]
    assert found.resolution == pytest.approx(exitwave.compare(result).frc.resolution, rel=0.2)


def test_counts_are_halved_if_the_error_is_that_of_photon_noise():
    scan = simulate(detector=128, frames=40, photons=2e4, seed=4)
    stack = scan.patterns[:]
    result = exitwave.reconstruct(replace(scan, patterns=Frames(stack)), iterations=20, threads=1)
    assert default_split(result) == "counts"
    elsewhere = scan.positions + np.random.default_rng(0).normal(0, 3 * result.object_pixel[0], scan.positions.shape)
    wrong = replace(scan, patterns=Frames(stack * 100), positions=elsewhere)
    assert default_split(exitwave.reconstruct(wrong, iterations=20, threads=1)) == "frames"


def test_counts_that_are_not_whole_are_not_split():
    result = small_result(small_scan())
    patterns = Frames(result.scan.patterns[:] + np.float32(0.25))
    result = replace(result, scan=replace(result.scan, patterns=patterns))
    assert default_split(result) == "frames"
    with pytest.raises(InputError, match="not whole numbers"):
        half_scan_frc(result, split="counts")


@pytest.mark.parametrize("background", ["dark", 2.0, None])
def test_the_background_is_halved_too(background):
    scan = simulate(detector=128, frames=40, photons=1e6, dark=2.0, seed=4)
    scan = replace(scan, patterns=Frames(scan.patterns[:]))
    result = exitwave.reconstruct(scan, iterations=2, threads=1, detector={"background": background})
    backgrounds = []
    half_scan_frc(
        result, lambda _, progress: backgrounds.append(progress.settings["detector"]["background"]), split="counts"
    )
    assert set(backgrounds) == {1.0 if background == 2.0 else background}
    for half in split_counts(result):
        np.testing.assert_allclose(half.detector.dark, scan.detector.dark / 2)


@pytest.mark.parametrize(("saturated", "part"), [("exclude", 1), ("cap", 0.5)])
def test_a_half_has_the_refined_positions_half_of_the_power_and_its_saturation(saturated, part):
    result = small_result(small_scan())
    detector = replace(result.scan.detector, saturation=500.0)
    result = replace(
        result, scan=replace(result.scan, detector=detector), recipe={"detector": {"saturated": saturated}}
    )
    for half in split_counts(result):
        np.testing.assert_array_equal(half.positions, result.positions)
        np.testing.assert_allclose(half.probe, result.scan.probe / np.sqrt(2), rtol=1e-6)
        assert half.detector.saturation == part * 500


def test_an_unknown_split_is_refused():
    with pytest.raises(InputError, match="counts, frames"):
        half_scan_frc(small_result(small_scan()), split="photons")


def test_the_halves_of_a_result_with_refinements_correlate():
    scan = simulate(detector=128, frames=60, photons=1e6, seed=4)
    result = exitwave.reconstruct(scan, iterations=6, threads=1, intensity_update=True, position_update=True, modes=2)
    assert half_scan_frc(result).resolution < 6 * result.object_pixel[0]
