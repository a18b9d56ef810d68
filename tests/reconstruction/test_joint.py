"""Joint reconstruction of several scans: shared probe and object, and the result of each scan."""

import dataclasses

import numpy as np
import pytest

import exitwave
from exitwave.analysis.error import recompute
from exitwave.errors import InputError
from exitwave.frames import Frames
from exitwave.reconstruction.joint import join
from exitwave.scan import Truth
from exitwave.simulation import simulate


@pytest.fixture(scope="module")
def scan():
    return simulate(detector=128, frames=60, photons=2e5, seed=3)


def part(scan, frames):
    """Return some frames of a scan as a scan."""
    t = scan.truth
    truth = Truth(t.object, t.x, t.y, t.probe, t.positions[frames])
    counts = Frames(np.array(scan.patterns[:])[frames])
    return dataclasses.replace(scan, patterns=counts, positions=scan.positions[frames], truth=truth)


def fast(data, **settings):
    return exitwave.reconstruct(data, **{"threads": 1, "iterations": 15} | settings)


def test_two_parts_of_a_scan_give_the_result_of_the_scan(scan):
    halves = [part(scan, np.arange(0, 25)), part(scan, np.arange(25, 60))]
    joint = join(halves, "both").scan
    assert np.array_equal(joint.patterns[:], scan.patterns[:])
    assert np.array_equal(joint.patterns[20:30, 3], scan.patterns[20:30, 3])
    assert np.array_equal(joint.patterns[27], scan.patterns[27])
    whole, (first, second) = fast(scan, iterations=3), fast(halves, share="both", iterations=3)
    assert np.array_equal(first.object, whole.object)
    assert np.array_equal(second.probe, whole.probe)
    assert np.array_equal(np.r_[first.held_out, second.held_out + 25], whole.held_out)


def test_frames_left_out_and_monitors_stay_with_their_scan(scan):
    first, second = part(scan, np.arange(0, 25)), part(scan, np.arange(25, 60))
    counts = np.array(second.patterns[:])
    counts[7] = 0
    first = dataclasses.replace(first, left_out={"shutter": (2,)}, monitor=np.full(25, 3.0))
    second = dataclasses.replace(second, patterns=Frames(counts), left_out={"shutter": (1,), "lost": (4,)})
    joint = join([first, dataclasses.replace(second, monitor=np.full(35, 8.0))], "both").scan
    assert joint.left_out == {"shutter": (2, 26), "lost": (29,)}
    assert np.array_equal(joint.monitor, np.ones(60))
    assert join([first, second], "both").scan.monitor is None
    results = fast([first, second], share="both", iterations=1)
    assert results[0].scan.left_out == {"shutter": (2,)}
    assert results[1].scan.left_out == {"shutter": (1,), "lost": (4,), "no counts": (7,)}


def test_two_scans_of_one_object_give_a_smaller_error_than_one(scan):
    again = simulate(detector=128, frames=60, photons=2e5, seed=3)
    again = dataclasses.replace(
        again, patterns=Frames(np.random.default_rng(5).poisson(np.maximum(expected(again), 0)).astype(np.float32))
    )
    alone = exitwave.compare(fast(scan)).error
    together = fast([scan, again], share="both")
    assert exitwave.compare(together[0]).error < 0.9 * alone
    assert np.array_equal(together[0].object, together[1].object)


def expected(scan):
    return np.array([scan.patterns.expected(j) for j in range(len(scan.patterns))])


def test_a_sparse_scan_improves_with_the_probe_of_another(scan):
    other = simulate(detector=128, frames=60, photons=2e5, seed=8, specimen="texture")
    sparse = part(other, np.arange(0, 60, 3))
    bad = np.roll(scan.probe, 2, 1) * np.exp(0.3j * np.indices(scan.probe.shape[1:])[0] / 10)
    rough = [dataclasses.replace(each, probe=bad.astype(np.complex64)) for each in (scan, sparse)]
    alone = exitwave.compare(fast(rough[1])).error
    together = fast(rough, share="probe")
    assert np.array_equal(together[0].probe, together[1].probe)
    assert exitwave.compare(together[1]).error < 0.9 * alone
    assert exitwave.compare(together[0]).error < 1.1 * exitwave.compare(fast(rough[0])).error


@pytest.mark.parametrize("share", ["probe", "both"])
def test_the_result_of_each_scan_is_complete(scan, share, tmp_path):
    scans = [part(scan, np.arange(0, 35)), part(scan, np.arange(35, 60))]
    mask = scan.detector.mask.copy()
    mask[40:43, 50] = 1
    scans[1] = dataclasses.replace(
        scans[1], detector=dataclasses.replace(scan.detector, mask=mask, dark=np.full(mask.shape, 0.25, np.float32))
    )
    results = fast(scans, share=share, iterations=3, intensity_update=True)
    for number, (given, result) in enumerate(zip(scans, results, strict=True)):
        assert result.positions == pytest.approx(given.positions, abs=1e-15)
        assert len(result.model["probe_factors"]) == len(given.positions)
        assert result.object.shape == result.mask.shape == (result.y.size, result.x.size)
        assert recompute(result) == pytest.approx(result.errors[-1], rel=1e-4)
        assert recompute(result, result.held_out) == pytest.approx(result.holdout_errors[-1], rel=1e-4)
        result.save(tmp_path / f"{number}.cxi")
        opened = exitwave.open(tmp_path / f"{number}.cxi")
        assert recompute(opened) == pytest.approx(result.errors[-1], rel=1e-4)
        assert len(fast(opened, iterations=1).errors) == 4


@pytest.mark.parametrize(
    ("change", "share", "words"),
    [
        ({}, None, "share="),
        ({}, "nothing", "share="),
        ({"energy": 9000.0}, "probe", "wavelength"),
        ({"distance": 1.1}, "probe", "object pixel"),
        ({"frames": 64}, "both", "shape of the frames"),
    ],
)
def test_scans_that_do_not_agree_are_refused(scan, change, share, words):
    other = scan
    if "energy" in change:
        other = dataclasses.replace(scan, **change)
    if "distance" in change:
        detector = dataclasses.replace(scan.detector, distance=1.1 * scan.detector.distance)
        other = dataclasses.replace(scan, detector=detector)
    if "frames" in change:
        other = dataclasses.replace(scan, patterns=Frames(scan.patterns[:][:, :64, :64]))
    with pytest.raises(InputError, match=words):
        fast([scan, other], share=share)
    with pytest.raises(InputError, match="two or more"):
        fast([scan], share="probe")
