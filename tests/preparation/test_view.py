"""Views of a scan: exact, composable, and applied to all arrays with the shape of a frame."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import small_scan

import exitwave
from exitwave.analysis.error import recompute
from exitwave.cxi.schema import path
from exitwave.cxi.validate import validate
from exitwave.errors import InputError
from exitwave.frames import Frames, MissingFrames, View, ViewedFrames
from exitwave.preparation import apply_view
from exitwave.scan import Result, Scan
from exitwave.simulation import intensity, simulate

SHAPE = (60, 71)


def views(shape: tuple[int, int], beyond: int = 2) -> st.SearchStrategy[View]:
    """Return views whose window may reach some pixels beyond the frame."""

    def window(n: int) -> st.SearchStrategy[tuple[int, int] | None]:
        return st.none() | st.tuples(st.integers(-beyond, n // 4), st.integers(3 * n // 4, n + beyond))

    flags = [st.booleans() for _ in range(3)]
    return st.tuples(*flags, st.integers(1, 3)).flatmap(
        lambda t: st.builds(
            View,
            st.just(t[0]),
            st.just(t[1]),
            st.just(t[2]),
            window(shape[1] if t[0] else shape[0]),
            window(shape[0] if t[0] else shape[1]),
            st.just(t[3]),
        )
    )


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_view_of_a_view_is_a_view(data: st.DataObject) -> None:
    first = data.draw(views(SHAPE))
    second = data.draw(views(first.shape(SHAPE), beyond=0))
    counts = np.random.default_rng(1).integers(1, 100, (3, *SHAPE)).astype(np.uint16)
    both = first.then(second, SHAPE)
    np.testing.assert_array_equal(both.apply(counts), second.apply(first.apply(counts)))
    assert View(**json.loads(json.dumps(both.as_dict()))) == both
    stacked = ViewedFrames(ViewedFrames(Frames(counts), first), second)
    assert (stacked.view, stacked.shape[1:]) == (both, both.shape(SHAPE))
    np.testing.assert_array_equal(stacked[:], both.apply(counts))


def test_bins_are_exact_sums_and_mark_invalid_counts() -> None:
    counts = np.full((1, 4, 6), 60_000, np.uint16)
    counts[0, 0, 1] = 65_535
    changed = View(bin=2).apply(counts, saturation=65_535)
    assert changed.dtype == np.uint32
    np.testing.assert_array_equal(changed[0], [[4 * 65_535, 240_000, 240_000], [240_000] * 3])
    floats = np.arange(24, dtype=np.float32).reshape(1, 4, 6)
    floats[0, 0, 0], floats[0, 3, 5] = np.nan, -1
    changed = View(bin=2).apply(floats)
    assert np.isnan(changed[0, 0, 0])
    assert changed[0, 1, 2] < 0
    assert changed[0, 0, 1] == 2 + 3 + 8 + 9
    assert View(bin=2).apply(np.array([[[-1, 5], [5, 5]] * 2] * 2, np.int32).reshape(2, 4, 2).repeat(2, 2))[0, 0, 0] < 0


def test_slices_of_viewed_frames_are_slices_of_the_whole() -> None:
    stack = np.random.default_rng(2).poisson(3, (9, *SHAPE)).astype(np.float32)
    view = View(True, True, False, (-1, 13), (2, 10), 2)
    frames, whole = ViewedFrames(Frames(stack), view), view.apply(stack)
    np.testing.assert_array_equal(frames[3], whole[3])
    np.testing.assert_array_equal(frames[::-2, 1:, ..., 2], whole[::-2, 1:, 2])
    np.testing.assert_array_equal(frames[[4, 4, 1]], whole[[4, 4, 1]])
    np.testing.assert_array_equal(np.stack(list(frames.pick([8, 0]))), whole[[8, 0]])
    np.testing.assert_array_equal(np.concatenate([block for _, block in frames.blocks(4)]), whole)


def test_detector_arrays_and_geometry_are_viewed_like_the_frames() -> None:
    scan = small_scan()
    flat = np.linspace(0.5, 1.5, 64 * 64, dtype=np.float32).reshape(64, 64)
    scan = replace(scan, detector=replace(scan.detector, dark=flat, flat=flat))
    view = View(True, False, True, (8, 56), (2, 66), 2)
    changed = apply_view(scan, view)
    detector = changed.detector
    assert changed.patterns.shape == (200, 24, 32)
    assert detector.pixel_size == (2 * 55e-6, 2 * 75e-6)
    assert detector.saturation == 4 * 65535
    np.testing.assert_array_equal(changed.positions, scan.positions)
    turned = scan.detector.mask.T[8:56, ::-1][:, 2:]
    assert (detector.mask[:, :31] == turned.reshape(24, 2, 31, 2).max(axis=(1, 3))).all()
    assert detector.mask[:, 31].all()
    assert (detector.pixel_mask[:, 31] == 1).all()
    inside = flat.T[8:56, ::-1][:, 2:].reshape(24, 2, 31, 2)
    np.testing.assert_allclose(detector.dark[:, :31], inside.sum(axis=(1, 3)), rtol=1e-6)
    np.testing.assert_allclose(detector.flat[:, :31], inside.mean(axis=(1, 3)), rtol=1e-6)
    # the beam at x = y = 0 in the laboratory hits the same pixel
    x, y = scan.detector.corner_position[0] / 55e-6, scan.detector.corner_position[1] / 75e-6
    there = (x - 8) / 2, (64 - y - 2) / 2
    np.testing.assert_allclose(detector.corner_position[:2], [there[1] * 2 * 75e-6, there[0] * 2 * 55e-6])
    assert apply_view(scan, View()).object_pixel == scan.object_pixel


def frame_of(probe: np.ndarray) -> np.ndarray:
    """Return the far field of a probe without a sample."""
    ones, zero = np.ones(probe.shape[-2:]), np.zeros(2, np.int64)
    return intensity(ones, np.fft.fft2(probe.astype(complex)), zero, np.zeros(2))


@pytest.mark.parametrize("preset", ["26-ID", "2-ID-D"])
def test_the_viewed_probe_fits_the_viewed_frames(preset: str) -> None:
    scan = simulate(preset, frames=3, detector=128)
    for view in (View(True, True, False), View(rows=(5, 117), columns=(-4, 120)), View(rows=(0, 126))):
        changed = apply_view(scan, view)
        expected = view.apply(frame_of(scan.probe))
        np.testing.assert_allclose(frame_of(changed.probe), expected, atol=1e-4 * expected.max())
    # bins: the far field of a probe much narrower than its array is smooth on the scale of a pixel
    wide = simulate(preset, frames=3, detector=256)
    changed, expected = apply_view(wide, View(bin=2)), View(bin=2).apply(frame_of(wide.probe))
    found = frame_of(changed.probe)
    assert np.linalg.norm(found - expected) < 0.1 * np.linalg.norm(expected)
    assert abs(found.sum() / expected.sum() - 1) < 0.02


def test_the_near_field_is_cropped_in_real_space() -> None:
    scan = simulate("near-field", frames=20, detector=64)
    changed = apply_view(scan, View(rows=(8, 56), columns=(0, 48)))
    np.testing.assert_allclose(changed.probe, scan.probe[:, 8:56, :48], atol=1e-3)
    assert changed.object_pixel == pytest.approx(scan.object_pixel)
    assert apply_view(scan, View(bin=2)).object_pixel == pytest.approx([2 * p for p in scan.object_pixel])


def test_a_result_with_fewer_pixels_is_compared_with_the_truth() -> None:
    scan = simulate(frames=40, detector=160, photons=1e7, seed=2)
    changed = apply_view(scan, View(rows=(20, 140), columns=(20, 140)))
    assert changed.truth.y[1] - changed.truth.y[0] == pytest.approx(changed.object_pixel[0])
    assert exitwave.compare(exitwave.reconstruct(changed, iterations=6, threads=1)).error < 0.25
    assert apply_view(scan, View(flip_rows=True)).truth.object is scan.truth.object


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("raw") / "raw.cxi"
    simulate(frames=60, detector=128, photons=1e6, bad_pixels=0.002, dark=0.05, background=0.02, modes=2).save(file)
    return file


@pytest.fixture(scope="module")
def viewed(raw: Path) -> Result:
    scan = exitwave.open(raw)
    assert isinstance(scan, Scan)
    changed = apply_view(scan, View(False, True, True, (4, 124), (6, 126), 2))
    return exitwave.reconstruct(changed, iterations=5, threads=1)


def test_a_result_of_a_view_links_to_the_frames_and_is_read_unchanged(viewed: Result, raw: Path) -> None:
    small, large = raw.with_name("small.cxi"), raw.with_name("large.cxi")
    viewed.save(small)
    viewed.save(large, embed=True)
    with h5py.File(small) as file:
        assert isinstance(file.get(path("frames"), getlink=True), h5py.ExternalLink)
        assert View(**json.loads(file[path("frames_view")][()])) == viewed.scan.patterns.view
    with h5py.File(large) as file:
        assert path("frames_view") not in file
    for file in (small, large):
        assert [each for each in validate(file) if each.level == "error"] == []
        again = exitwave.open(file)
        assert isinstance(again, Result)
        assert again.scan.patterns.shape == viewed.scan.patterns.shape
        np.testing.assert_array_equal(again.scan.patterns[7], viewed.scan.patterns[7])
        np.testing.assert_array_equal(again.scan.detector.mask, viewed.scan.detector.mask)
        assert again.scan.detector.saturation == viewed.scan.detector.saturation
        assert recompute(again) == pytest.approx(float(viewed.errors[-1]), rel=1e-4)
        assert len(exitwave.reconstruct(again, iterations=1, threads=1).errors) == 6


def test_a_view_is_kept_when_its_frames_are_missing(viewed: Result, raw: Path, tmp_path: Path) -> None:
    viewed.save(tmp_path / "a.cxi")
    (tmp_path / "gone").mkdir()
    (tmp_path / "a.cxi").rename(tmp_path / "gone" / "a.cxi")
    again = exitwave.open(tmp_path / "gone" / "a.cxi")
    assert isinstance(again, Result)
    assert isinstance(again.scan.patterns, MissingFrames)
    again.save(tmp_path / "gone" / "b.cxi")
    with h5py.File(tmp_path / "gone" / "b.cxi") as file:
        assert View(**json.loads(file[path("frames_view")][()])) == viewed.scan.patterns.view


def test_an_invalid_view_is_refused(viewed: Result, raw: Path) -> None:
    file = raw.with_name("broken.cxi")
    viewed.save(file)
    with h5py.File(file, "r+") as opened:
        opened[path("frames_view")][()] = '{"turn": 1}'
    with pytest.raises(InputError, match="view of the patterns"):
        exitwave.open(file)
    assert "E108" in {each.code for each in validate(file)}
    with pytest.raises(InputError, match="too few pixels"):
        View(rows=(3, 4)).window((12, 12))
    with pytest.raises(InputError, match="binned"):
        View(bin=0)
