from dataclasses import replace

import numpy as np
import pytest
from known import known_result
from samples import small_result, small_scan
from scipy.spatial import cKDTree

import exitwave
from exitwave.engine.halves import half_scan_frc, split_frames
from exitwave.errors import InputError
from exitwave.scan import Frames
from exitwave.simulate import simulate


def test_the_halves_share_no_frame_and_cover_the_same_places():
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


@pytest.mark.parametrize("photons", [1.5e5, 3e5])
def test_two_halves_know_the_resolution_that_the_truth_gives(photons):
    scan = simulate(detector=128, frames=120, photons=photons, seed=4)
    scan = replace(scan, patterns=Frames(scan.patterns[:]))
    result = exitwave.reconstruct(scan, iterations=25, threads=1)
    seen = []
    found = half_scan_frc(result, lambda half, progress: seen.append((half, progress.iteration)))
    assert seen == [(half, k) for half in (1, 2) for k in range(1, 26)]
    assert found.resolution == pytest.approx(exitwave.compare(result).frc.resolution, rel=0.2)


def test_what_was_refined_is_kept_for_both_halves():
    scan = simulate(detector=128, frames=60, photons=1e6, seed=4)
    result = exitwave.reconstruct(scan, iterations=6, threads=1, scale_update=True, position_update=True, modes=2)
    assert half_scan_frc(result).resolution < 6 * result.object_pixel[0]
