"""Every diagnosis is made for its fault, and for no other scan."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import exitwave
from exitwave.analysis.diagnosis import CODES, Diagnosis, diagnose, frame_sample
from exitwave.analysis.diagnosis.counts import trend
from exitwave.analysis.diagnosis.frame_sample import sample_frames
from exitwave.analysis.diagnosis.positions import bragg_peak, widest_gap
from exitwave.analysis.diagnosis.repeats import find_repeats
from exitwave.frames import Frames
from exitwave.positions import fermat_spiral, jittered_grid, raster
from exitwave.scan import Scan
from exitwave.simulation import simulate

SIDE = 128


def made(**settings: Any) -> Scan:
    """Return a simulated scan whose frames are in memory."""
    scan = simulate(**{"detector": SIDE, "frames": 80, "seed": 3, "specimen": "texture"} | settings)
    return replace(scan, patterns=Frames(scan.patterns[:]))


@pytest.fixture(scope="module")
def clean() -> Scan:
    return made()


def counted(scan: Scan, stack: NDArray[Any]) -> Scan:
    return replace(scan, patterns=Frames(stack))


def masked(scan: Scan, mask: NDArray[Any], **changes: Any) -> Scan:
    return replace(scan, detector=replace(scan.detector, mask=mask.astype(np.uint8), **changes))


def codes(scan: Scan) -> set[str]:
    return {each.code for each in diagnose(scan)}


def found(scan: Scan, code: str) -> Diagnosis:
    (one,) = (each for each in diagnose(scan) if each.code == code)
    return one


def binned(scan: Scan, factor: int) -> Scan:
    side = SIDE // factor
    stack = scan.patterns[:].reshape(-1, side, factor, side, factor).sum(axis=(2, 4))
    pixel = tuple(factor * size for size in scan.detector.pixel_size)
    detector = replace(scan.detector, mask=np.zeros((side, side), np.uint8), pixel_mask=None, pixel_size=pixel)
    return replace(scan, patterns=Frames(stack), detector=detector, probe=None)


@pytest.mark.parametrize("pattern", ["fermat", "raster", "rings", "jitter"])
@pytest.mark.parametrize(
    ("preset", "photons", "more"),
    [("26-ID", 1e5, {"specimen": "star", "dark": 0.5}), ("2-ID-D", 1e8, {"bad_pixels": 0.005})],
)
def test_clean_scan_has_only_its_grid(pattern: str, preset: str, photons: float, more: dict[str, Any]) -> None:
    scan = made(preset=preset, scan=pattern, photons=photons, seed=len(pattern), **more)
    expected = {"D404"} if pattern == "raster" else set()
    assert codes(scan) == expected
    assert codes(replace(scan, probe=None)) == expected


def test_clean_near_field_scan_has_no_problem() -> None:
    assert diagnose(simulate("near-field", frames=40)) == ()


def test_measured_star_has_a_grid_and_one_hot_pixel(measured: Path) -> None:
    scan = exitwave.open(measured / "velociprobe_siemens_star.cxi")
    assert isinstance(scan, Scan)
    assert codes(scan) == {"D404", "D414"}
    assert found(scan, "D414").number == 1  # at (64, 65), 293 counts in every frame, 50 around it


def test_too_few_photons() -> None:
    few = found(made(photons=2e3), "D401")
    assert few.level == "warning"
    assert few.number == pytest.approx(found(made(photons=1e3), "D401").number * 2, rel=0.05)


def test_small_overlap() -> None:
    little = found(made(scan="raster", step=6e-7), "D402")
    assert 0.2 < little.number < 0.5
    assert found(made(scan="raster", step=1.1e-6), "D402").level == "error"
    assert "D402" in codes(replace(made(scan="raster", step=7e-7), probe=None))


@pytest.mark.parametrize("factor", [10, 0.01])
def test_positions_in_the_wrong_unit(clean: Scan, factor: float) -> None:
    assert found(replace(clean, positions=factor * clean.positions), "D411").level == "error"


def test_hole_of_missing_or_left_out_frames() -> None:
    scan = made(frames=200)
    inside = np.hypot(scan.positions[:, 0] - 0.6e-6, scan.positions[:, 1]) < 0.55e-6
    gone = replace(counted(scan, scan.patterns[:][~inside]), positions=scan.positions[~inside])
    assert found(gone, "D403").number == pytest.approx(1.2e-6, rel=0.15)
    left_out = replace(scan, left_out={"dark": tuple(map(int, np.flatnonzero(inside)))})
    assert codes(left_out) == {"D403"}


def test_period_of_a_grid() -> None:
    peak, period = bragg_peak(raster((12, 9), 250e-9))
    assert peak == pytest.approx(1, abs=0.02)
    assert period == pytest.approx(250e-9, rel=0.02)
    assert bragg_peak(jittered_grid((20, 20), 250e-9, 62e-9, 1))[0] < 0.6
    assert bragg_peak(fermat_spiral(400, 100e-9))[0] < 0.3


def test_widest_gap_of_a_square_is_its_middle() -> None:
    corners = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0], [2, 2, 0], [3, 0, 0]]) * 1e-6
    radius, centre = widest_gap(corners)
    assert radius == pytest.approx(np.sqrt(2) * 1e-6)
    assert centre == pytest.approx([1e-6, 1e-6])
    assert widest_gap(corners[[0, 1, 4]])[0] == 0  # all on a line


@pytest.mark.parametrize(("lost", "left"), [(slice(30, 33), 0.05), ([7], 0.0)])
def test_frames_without_beam(clean: Scan, lost: Any, left: float) -> None:
    stack = clean.patterns[:].copy()
    stack[lost] = np.rint(left * stack[lost])
    one = found(counted(clean, stack), "D407")
    assert one.number == len(stack[lost])
    which = range(*lost.indices(80)) if isinstance(lost, slice) else lost
    assert codes(replace(counted(clean, stack), left_out={"dark": tuple(which)})) == set()


def test_beam_that_fades_or_drifts(clean: Scan) -> None:
    fading = clean.patterns[:] * np.linspace(1, 0.6, 80)[:, None, None]
    assert -0.6 < found(counted(clean, np.random.default_rng(1).poisson(fading)), "D406").number < -0.4
    assert found(made(probe_drift=0.2), "D406").number > 10
    assert codes(made(beam_fluctuation=0.1)) == set()


def test_repeated_frames(clean: Scan) -> None:
    stack = clean.patterns[:]
    stuck, twice = stack.copy(), stack.copy()
    stuck[30:40], twice[50] = stack[30], stack[20]
    many = found(counted(clean, stuck), "D420")
    assert (many.level, many.number) == ("error", 9)
    assert "31–39" in many.evidence
    assert "--set frames.leave_out=31:40 " in many.remedy
    assert found(counted(clean, twice), "D420").level == "warning"
    assert "D420" not in codes(replace(counted(clean, stuck), left_out={"stuck": tuple(range(31, 40))}))


def test_repeated_frames_outside_of_the_sample(clean: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_sample, "PIXELS", 16 * SIDE**2)
    stack = clean.patterns[:].copy()
    stack[41:49] = stack[41]
    sample = sample_frames(counted(clean, stack))
    assert len(sample.frames) == 16
    assert find_repeats(sample).tolist() == list(range(42, 49))


def test_empty_frames_are_not_repeated_frames(clean: Scan) -> None:
    stack = clean.patterns[:].copy()
    stack[30:40] = 0
    stack[30:40, 64, 64] = 3
    assert "D420" not in codes(counted(clean, stack))


def test_trend_and_its_significance() -> None:
    time = np.linspace(-0.5, 0.5, 100)
    noise = np.random.default_rng(0).normal(size=100)
    change, sure = trend(time, 3 * time + 0.1 * noise)
    assert change == pytest.approx(3, abs=0.2)
    assert sure > 50
    assert trend(time, noise)[1] < 4
    place = time + 0.01 * np.random.default_rng(1).normal(size=100)
    assert trend(time, 3 * place + 0.1 * noise, place[:, None])[1] < 4


def test_saturation_at_a_known_and_an_unknown_limit(clean: Scan) -> None:
    scan = made(saturation=300.0)
    assert found(scan, "D410").number > 100
    unknown = replace(scan, detector=replace(scan.detector, saturation=None))
    assert "300 counts" in found(unknown, "D410").evidence
    assert codes(replace(clean, detector=replace(clean.detector, saturation=None))) == set()


def test_hot_dead_and_wrongly_masked_pixels(clean: Scan) -> None:
    scan = made(bad_pixels=0.002)
    hot = int(np.count_nonzero(scan.detector.pixel_mask == 8))
    leaking = masked(scan, np.zeros((SIDE, SIDE)))
    assert found(leaking, "D414").number >= hot - 1
    assert found(leaking, "D415").number > 0
    stack = clean.patterns[:].copy()
    stack[:, :, 70:72] = 0
    assert 0.9 * 2 * SIDE < found(counted(clean, stack), "D415").number <= 2 * SIDE
    mask = np.zeros((SIDE, SIDE))
    mask[60:64] = 1
    assert codes(masked(clean, mask)) == {"D417"}
    stack[:, :, 70:72] = -1  # as detectors mark their gaps
    assert codes(counted(clean, stack)) == set()


@pytest.mark.parametrize(("photons", "background"), [(2e6, 5.0), (1e5, 0.5)])
def test_unknown_background(photons: float, background: float) -> None:
    assert found(made(photons=photons, background=background), "D416").number == pytest.approx(background, rel=0.15)
    assert codes(made(photons=photons, dark=background)) == set()


def test_too_few_detector_pixels_for_the_probe(clean: Scan) -> None:
    assert "D413" not in codes(binned(clean, 2))
    assert found(binned(clean, 4), "D413").level == "warning"
    assert found(binned(clean, 8), "D413").level == "error"


def test_noise_alone_gives_no_autocorrelation() -> None:
    stack = np.random.default_rng(0).poisson(2.0, (200, 32, 32))
    scan = replace(simulate(frames=200, detector=SIDE), patterns=Frames(stack), left_out={})
    scan = masked(scan, np.zeros((32, 32)), dark=None, pixel_mask=None)
    sample = sample_frames(scan)
    away = sample.autocorrelation[:12]
    assert abs(away.mean()) < 5 * sample.floor / np.sqrt(64 * away.size / 2)


def test_without_frames_only_the_positions_are_diagnosed(result_file: Path, scan_file: Path) -> None:
    scan_file.unlink()
    assert all(each.code in ("D402", "D403", "D404", "D411") for each in diagnose(exitwave.open(result_file)))


def test_diagnosis_has_all_fields() -> None:
    assert all(code.startswith("D4") and all(fault) for code, fault in CODES.items())
    one = found(made(photons=2e3), "D401")
    assert f"{one.number:.3g}" in one.evidence
    assert set(one.as_dict()) == {"code", "level", "what", "evidence", "number", "consequence", "remedy"}
    assert str(one).startswith("warning D401: too few photons. ")
