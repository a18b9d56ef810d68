import warnings
from dataclasses import replace

import numpy as np
import pytest
from known import PIXEL, blank_scan, known_result, smooth
from matplotlib.colors import LogNorm, to_rgba
from matplotlib.figure import Figure

from exitwave.analysis.compare import compare
from exitwave.figures import (
    comparison_figure,
    displacements_figure,
    errors_figure,
    frc_figure,
    object_figure,
    patterns_figure,
    positions_figure,
    probe_figure,
)
from exitwave.figures.colour import colours
from exitwave.figures.object import HALF
from exitwave.figures.orientations import orientations_figure
from exitwave.figures.patterns import MASKED
from exitwave.frames import Frames, View
from exitwave.frc import frc
from exitwave.optics import phase_ramp
from exitwave.reconstruction.orientation import Orientation
from exitwave.scan import Scan


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


def shown(axes) -> np.ma.MaskedArray:
    """Return the array that a panel shows, row 0 at the bottom."""
    image = axes.images[0]
    assert image.origin == "lower"
    return image.get_array()


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


@pytest.fixture
def scan() -> Scan:
    blank = blank_scan((20, 26))
    frames = np.random.default_rng(0).poisson(3.0, blank.patterns.shape).astype(np.float32)
    frames[:, 3] = 4e9
    frames[2, 0, 0] = np.nan
    return replace(blank, patterns=Frames(frames))


def test_displacements_are_arrows_without_the_mean():
    positions = blank_scan((8, 8), npos=40).positions
    moved = np.random.default_rng(0).normal(0, 5e-9, positions.shape)
    figure = displacements_figure(positions, positions + moved + 1e-7)
    arrows = next(each for each in figure.axes[0].collections if hasattr(each, "U"))
    expected = (moved - moved.mean(0))[:, :2]
    assert np.column_stack([arrows.U, arrows.V]) == pytest.approx(expected, abs=1e-12)
    rms = 1e9 * np.sqrt((expected**2).sum(1).mean())
    assert f"{rms:.3g} nm" in figure.axes[0].get_title(loc="left")
    figure.canvas.draw()


def test_positions_are_in_micrometres_and_in_order_with_equal_axes():
    positions = blank_scan((8, 8), npos=40).positions + np.array([2e-3, -1e-3, 0])
    figure = positions_figure(positions)
    axes = figure.axes[0]
    points, path = axes.collections[0], axes.lines[0]
    assert np.asarray(points.get_offsets()) == pytest.approx(1e6 * positions[:, :2])
    assert np.asarray(points.get_array()) == pytest.approx(np.arange(40))
    assert path.get_xydata() == pytest.approx(1e6 * positions[:, :2])
    assert axes.get_aspect() == 1
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x (µm)", "y (µm)")
    assert "40 positions" in axes.get_title()
    figure.draw_without_rendering()
    assert all("e" not in label.get_text() and "+" not in label.get_text() for label in axes.get_xticklabels())


def test_patterns_are_logarithmic_with_bad_pixels_in_a_separate_colour(scan):
    figure = patterns_figure(scan, frame=2)
    mean, frame = figure.axes
    assert titles(figure) == ["Mean of all 12 frames", "Frame 2"]
    for axes in (mean, frame):
        image = axes.images[0]
        assert isinstance(image.norm, LogNorm)
        assert (image.get_array().mask == (scan.detector.mask == 1)).all()
        assert tuple(image.get_cmap().get_bad()) == to_rgba(MASKED)
        assert image.norm.vmax < 100
    good = scan.detector.mask == 0
    expected = np.nan_to_num(scan.patterns[:]).astype(float).mean(axis=0)
    assert shown(mean)[good].data == pytest.approx(expected[good])
    assert "52 masked pixels" in figure.legends[0].get_texts()[0].get_text()


def test_zero_frequency_is_at_the_origin_of_the_pattern(scan):
    axes = patterns_figure(scan).axes[0]
    left, right, bottom, top = axes.images[0].get_extent()
    step = (right - left) / 26
    assert left + (13 + 0.5) * step == pytest.approx(0, abs=1e-12)
    assert bottom + (10 + 0.5) * (top - bottom) / 20 == pytest.approx(0, abs=1e-12)
    assert step == pytest.approx(1e-6 / (26 * PIXEL[1]))


def test_empty_or_single_frame_can_be_drawn():
    patterns_figure(blank_scan((16, 16), npos=1)).draw_without_rendering()
    positions_figure(np.zeros((1, 3))).draw_without_rendering()


def test_object_is_cropped_and_has_no_ramp():
    result = known_result()
    mask = np.zeros(result.object.shape)
    mask[20:70, 30:100] = 1
    mask[20:30, 30:40] = 0
    base = np.exp(0.2j * smooth(mask.shape, 0.05, 1)) * (1 + 0.1 * smooth(mask.shape, 0.05, 2))
    tilted = base * phase_ramp(mask.shape, np.array([0.7, -1.3])) * 1j
    plain, figure = object_figure(base, PIXEL, mask), object_figure(tilted, PIXEL, mask)
    amplitude, phase = figure.axes[:2]
    assert titles(figure)[:2] == ["Amplitude", "Phase"]
    inside = mask[20:70, 30:100] > 0.5
    assert shown(amplitude)[inside].data == pytest.approx(np.abs(base[20:70, 30:100])[inside])
    assert (shown(phase).mask == ~inside).all()
    assert shown(phase)[inside].data == pytest.approx(shown(plain.axes[1])[inside].data, abs=1e-6)
    assert amplitude.images[0].get_cmap().name == "gray"
    assert amplitude.get_aspect() == pytest.approx(PIXEL[0] / PIXEL[1])


def test_strong_phase_uses_the_full_colour_map_and_weak_phase_half():
    strong = object_figure(np.exp(3j * smooth((60, 60), 0.1, 1)), PIXEL).axes[1].images[0]
    assert strong.get_clim() == (-np.pi, np.pi)
    assert strong.get_cmap().name == "twilight"
    weak = object_figure(np.exp(0.1j * smooth((60, 60), 0.1, 1)), PIXEL).axes[1].images[0]
    assert np.diff(weak.get_clim())[0] < 1
    assert weak.get_cmap().name == HALF.name


def test_scale_bar_has_the_length_of_its_label():
    figure = object_figure(np.exp(0.1j * smooth((60, 90), 0.1, 1)), (10e-9, 10e-9))
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["200 nm"]
    assert np.ptp(axes.lines[0].get_xdata()) == pytest.approx(20)


@pytest.mark.parametrize("shape", [(12, 400), (400, 12), (30, 30)])
def test_any_shape_and_a_constant_object_can_be_drawn(shape):
    figure = object_figure(np.ones(shape, complex), PIXEL)
    figure.draw_without_rendering()
    assert figure.get_figheight() * 25.4 < 230


@pytest.mark.parametrize("modes", [1, 3])
def test_modes_have_their_power_and_complex_colours(modes):
    probe = known_result(modes=modes).probe
    figure = probe_figure(probe, PIXEL)
    power = np.sum(np.abs(probe) ** 2, axis=(1, 2))
    named = [float(title.removesuffix(" %")) for title in titles(figure)]
    assert named == pytest.approx(100 * power / power.sum(), rel=0.01)
    for axes, mode in zip(figure.axes, probe, strict=True):
        image = np.asarray(shown(axes))
        assert image == pytest.approx(colours(mode, float(np.percentile(np.abs(mode), 99.7))))
    wheels = [child for axes in figure.axes for child in axes.child_axes if child.images]
    assert len(wheels) == 1
    assert {text.get_text() for text in wheels[0].texts} == {"0", "π/2", "π", "−π/2"}
    assert figure.get_figwidth() * 25.4 == pytest.approx(85 if modes == 1 else 170)


def test_five_modes_take_two_rows_and_a_zero_probe_is_black():
    figure = probe_figure(np.zeros((5, 16, 16), np.complex64), PIXEL)
    figure.draw_without_rendering()
    assert len(figure.axes) == 5
    assert not np.asarray(shown(figure.axes[0])).any()


def test_errors_are_logarithmic_and_count_iterations_from_one():
    errors, held = np.array([0.5, 0.2, 0.1]), np.array([0.6, 0.3, 0.2])
    axes = errors_figure(errors, held).axes[0]
    assert axes.get_yscale() == "log"
    used, other = axes.lines
    assert used.get_xydata() == pytest.approx(np.column_stack([[1, 2, 3], errors]))
    assert other.get_ydata() == pytest.approx(held)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["used, 0.1", "held out, 0.2"]
    assert len(errors_figure(errors, np.zeros(0)).axes[0].lines) == 1
    errors_figure(errors[:1]).draw_without_rendering()


def test_frc_has_its_threshold_and_the_resolution_as_text():
    rng = np.random.default_rng(0)
    first, second = (smooth((90, 90), 0.1, 1) + 0.05 * rng.normal(size=(90, 90)) for _ in range(2))
    curve = frc(first, second, PIXEL)
    axes = frc_figure(curve).axes[0]
    correlation, threshold, cut = axes.lines[:3]
    assert correlation.get_xydata() == pytest.approx(np.column_stack([curve.frequency / 1e6, curve.correlation]))
    assert threshold.get_ydata() == pytest.approx(curve.threshold)
    assert cut.get_xdata()[0] == pytest.approx(0.5e-6 / curve.resolution)
    assert cut.get_label() == f"{curve.resolution * 1e9:.3g} nm half period"
    assert "the pixel" in frc_figure(frc(first, first, PIXEL)).axes[0].lines[2].get_label()


def test_comparison_has_one_scale_and_the_difference():
    result = known_result()
    worse = replace(
        result, object=(result.object * (1 + 0.02 * smooth(result.object.shape, 0.1, 9))).astype(np.complex64)
    )
    found = compare(worse)
    figure = comparison_figure(found)
    assert titles(figure) == [
        f"{what}, {which}" for what in ("Amplitude", "Phase") for which in ("truth", "result", "difference")
    ]
    truth, aligned, difference = figure.axes[:3]
    assert truth.images[0].get_clim() == aligned.images[0].get_clim()
    left = shown(difference).compressed()
    assert left == pytest.approx((np.abs(found.object) - np.abs(found.reference))[found.area])
    low, high = difference.images[0].get_clim()
    assert low == -high


def test_orientations_are_in_order_with_text_and_errors():
    image = np.exp(1j * smooth((60, 80), 0.1, 1)).astype(np.complex64)
    ranking = [
        Orientation(View(), 0.01, image),
        Orientation(View(transpose=True, flip_columns=True), 0.05, image.T),
    ]
    figure = orientations_figure(ranking, PIXEL)
    first, second = titles(figure)[:2]
    assert first == "as in the file\nerror 0.01"
    assert second.splitlines()[-1] == "error 0.05"
    assert "transposed" in second
