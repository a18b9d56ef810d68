"""Round trip of every dialect that can be read and written: a scan and a result are unchanged."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import small_result

from exitwave.dialects.detect import read
from exitwave.dialects.registry import DIALECTS
from exitwave.frames import Frames
from exitwave.scan import Detector, Result, Scan
from exitwave.units import H_C

BOTH = [name for name, each in DIALECTS.all().items() if each.read and each.write]
FLOAT = 1e-6


@st.composite
def scans(draw: st.DrawFn) -> Scan:
    """Draw a scan of few small frames, also odd and non-square, with or without a probe and a dark frame."""
    npos, ny, nx = draw(st.integers(2, 7)), draw(st.integers(5, 14)), draw(st.integers(5, 14))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    energy, pixel = draw(st.floats(2e3, 20e3)), draw(st.floats(50e-6, 150e-6))
    step = H_C / energy * 2 / (nx * pixel)
    positions = np.concatenate([rng.normal(size=(npos, 2)) * 5 * step, np.zeros((npos, 1))], axis=1)
    probe = rng.normal(size=(draw(st.integers(1, 3)), ny, nx, 2)).astype(np.float32) @ np.array([1, 1j], np.complex64)
    return Scan(
        patterns=Frames(rng.poisson(draw(st.floats(0.5, 1e4)), (npos, ny, nx)).astype(np.float32)),
        positions=positions,
        energy=energy,
        detector=Detector(
            distance=draw(st.floats(0.5, 2)),
            pixel_size=(pixel, pixel),
            mask=(rng.random((ny, nx)) < 0.2).astype(np.uint8),
            dark=rng.random((ny, nx), np.float32) if draw(st.booleans()) else None,
        ),
        probe=probe if draw(st.booleans()) else None,
    )


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scan=scans())
def test_round_trip(name: str, scan: Scan, tmp_path: Path) -> None:
    """Frames are equal, positions equal within 1e-12 m, other values within float32 precision."""
    known_dialect = DIALECTS.all()[name]
    target = tmp_path / f"scan{known_dialect.suffix}"
    assert known_dialect.write is not None
    known_dialect.write(scan, target, True)
    _same_scan(read(target, {"mask": "as-is"}, name), scan)


def _same_scan(data: Any, scan: Scan) -> None:
    back = data.scan if isinstance(data, Result) else data
    assert np.array_equal(back.patterns[:], scan.patterns[:])
    assert np.abs(back.positions - scan.positions).max() < 1e-12
    one, other = back.detector, scan.detector
    assert back.energy == pytest.approx(scan.energy, rel=FLOAT)
    assert one.distance == pytest.approx(other.distance, rel=FLOAT)
    assert one.pixel_size == pytest.approx(other.pixel_size, rel=FLOAT)
    assert np.array_equal(one.mask, other.mask)
    _close(one.dark, other.dark)
    _close(back.probe, scan.probe)


def _close(one: Any, other: Any) -> None:
    assert (one is None) == (other is None)
    if one is not None:
        assert one.shape == other.shape
        assert np.allclose(one, other, rtol=FLOAT, atol=FLOAT * np.abs(other).max())


@pytest.mark.parametrize("name", BOTH)
def test_result_round_trip(name: str, tmp_path: Path) -> None:
    """Object, probe, used positions and the coordinates of the object are unchanged."""
    result = small_result(_example(np.random.default_rng(5)))
    target = tmp_path / f"result{DIALECTS.all()[name].suffix}"
    write = DIALECTS.all()[name].write
    assert write is not None
    write(result, target, False)
    back = read(target, None, name)
    assert isinstance(back, Result)
    _close(back.object, result.object)
    _close(back.probe, result.probe)
    assert np.abs(back.positions - result.positions).max() < 1e-12
    assert np.abs(back.x - result.x).max() < 1e-3 * result.object_pixel[1]
    assert np.abs(back.y - result.y).max() < 1e-3 * result.object_pixel[0]


def _example(rng: np.random.Generator) -> Scan:
    step = H_C / 9e3 * 2 / (12 * 75e-6)
    positions = np.concatenate([rng.normal(size=(20, 2)) * 5 * step, np.zeros((20, 1))], axis=1)
    return Scan(
        patterns=Frames(rng.poisson(3, (20, 10, 12)).astype(np.float32)),
        positions=positions,
        energy=9e3,
        detector=Detector(2.0, (75e-6, 75e-6), np.zeros((10, 12), np.uint8)),
        probe=(rng.normal(size=(1, 10, 12)) + 0j).astype(np.complex64),
    )
