import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import PIXEL, known_result, smooth

from exitwave.analysis.compare import compare, probe_error
from exitwave.analysis.registration import fourier_shift
from exitwave.errors import InputError
from exitwave.optics import phase_ramp
from exitwave.scan import Result


def noisy(result: Result, amount: float = 0.05) -> Result:
    shape = result.object.shape
    noise = amount * (smooth(shape, 0.05, 11) + 1j * smooth(shape, 0.05, 12))
    return replace(result, object=(result.object + noise).astype(np.complex64))


def transform(result: Result, scale: complex, ramp: tuple[float, float], shift: tuple[float, float]) -> Result:
    """Return a result with the same patterns: object, probe and coverage are changed together."""
    k, s = np.array(ramp), np.array(shift)
    object = scale * fourier_shift(result.object, s) * phase_ramp(result.object.shape, k)
    probe = fourier_shift(result.probe, s) * phase_ramp(result.probe.shape[1:], -k) / scale
    mask = np.roll(result.mask, np.rint(s).astype(int), (0, 1))
    return replace(result, object=object.astype(np.complex64), probe=probe.astype(np.complex64), mask=mask)


NOISY = noisy(known_result(modes=2))
PLAIN = compare(NOISY)


def test_truth_compared_with_itself_agrees():
    found = compare(known_result())
    assert found.error < 1e-6
    assert found.probe_error < 1e-6
    assert found.position_rms == 0
    assert found.frc.limited_by_pixel
    assert found.frc.resolution == pytest.approx(max(PIXEL))
    assert found.shift == pytest.approx((0, 0), abs=1e-14)
    assert found.against_truth


def test_error_is_the_norm_of_the_noise_over_the_contrast():
    result = known_result()
    found = compare(noisy(result))
    contrast = np.std(found.reference[found.area])
    assert found.error == pytest.approx(0.05 * np.sqrt(2) / contrast, rel=0.1)


def test_phase_error_of_coarse_structure():
    result = known_result()
    y, x = np.indices(result.object.shape)
    found = compare(result)
    assert found.phase_error < 1e-6
    wavelength = 2 * found.coarse_period
    wave = np.cos(2 * np.pi * (y - y.mean()) * PIXEL[0] / wavelength)
    wrong = compare(replace(result, object=(result.object * np.exp(0.2j * wave)).astype(np.complex64)))
    damping = np.exp(-((found.coarse_period / wavelength) ** 2) / 2)
    assert wrong.phase_error == pytest.approx(0.2 * damping / np.sqrt(2), rel=0.15)
    fine = np.cos(2 * np.pi * x / 4)
    right = compare(replace(result, object=(result.object * np.exp(0.2j * fine)).astype(np.complex64)))
    assert right.phase_error < 0.02
    assert "rad rms" in right.sentence()


@settings(max_examples=8, deadline=None)
@given(
    st.floats(0.1, 10),
    st.floats(-3.1, 3.1),
    st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
    st.tuples(st.floats(-6, 6), st.floats(-6, 6)),
)
def test_scale_ramp_and_shift_do_not_change_the_comparison(amplitude, phase, ramp, shift):
    found = compare(transform(NOISY, amplitude * np.exp(1j * phase), ramp, shift))
    assert found.error == pytest.approx(PLAIN.error, rel=0.03)
    assert found.probe_error == pytest.approx(PLAIN.probe_error, abs=0.02)
    assert found.frc.resolution == pytest.approx(PLAIN.frc.resolution, rel=0.08)
    moved = (np.array(found.shift) - PLAIN.shift) / PIXEL
    assert moved == pytest.approx(np.array(shift), abs=0.02)


def test_scale_and_ramp_of_the_reference_do_not_change_the_comparison():
    other = transform(known_result(), 2j, (1.0, -2.0), (0.0, 0.0))
    assert compare(NOISY, other).error == pytest.approx(PLAIN.error, rel=0.01)
    assert not compare(NOISY, other).against_truth


def test_objects_on_different_grids_are_compared_at_the_same_coordinates():
    result = known_result()
    cut = np.s_[5:-3, 11:]
    part = replace(result, object=result.object[cut], mask=result.mask[cut], y=result.y[5:-3], x=result.x[11:])
    found = compare(noisy(part, 0.0))
    assert found.error < 1e-5
    assert found.shift == pytest.approx((0, 0), abs=1e-12)
    between = replace(result, object=fourier_shift(result.object, np.array([0.4, -0.3])).astype(np.complex64))
    between = replace(between, y=result.y - 0.4 * PIXEL[0], x=result.x + 0.3 * PIXEL[1])
    found = compare(between)
    assert found.error < 0.01
    assert np.array(found.shift) / PIXEL == pytest.approx([0, 0], abs=0.01)


def test_error_grows_with_the_noise_of_the_object():
    errors = [compare(noisy(known_result(), amount)).error for amount in (0.02, 0.1, 0.3)]
    assert errors == sorted(errors)
    assert errors[2] > 5 * errors[0]


def test_position_rms_has_the_mean_removed():
    result = known_result()
    wrong = result.positions + np.array([1e-6, -2e-6, 3e-6])
    wrong[:, 0] += 4e-9 * (-1.0) ** np.arange(len(wrong))
    assert compare(replace(result, positions=wrong)).position_rms == pytest.approx(4e-9, rel=1e-3)
    assert compare(replace(result, positions=wrong)).probe_error > 0.5  # a shift of 1 um makes the probe differ
    assert compare(replace(result, positions=wrong[:-1])).position_rms is None


def test_different_scans_of_one_field_have_no_position_rms():
    result = known_result()
    other = replace(
        result, scan=replace(result.scan, positions=result.positions[::-1]), positions=result.positions[::-1]
    )
    found = compare(result, other)
    assert found.position_rms is None
    assert found.probe_error < 1e-5


def test_moving_positions_and_object_together_does_not_move_the_probe():
    result = known_result()
    y, x = result.y + 7.3e-9, result.x - 5.1e-9
    moved = replace(result, positions=result.positions + np.array([-5.1e-9, 7.3e-9, 0]), y=y, x=x)
    found = compare(moved)
    assert found.shift == pytest.approx((7.3e-9, -5.1e-9), abs=1e-11)
    assert found.probe_error < 1e-3


def test_probe_error_ignores_unitary_mixing_but_not_missing_modes():
    probe = known_result(modes=3).probe.astype(np.complex128)
    mixing = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)) + 1j * np.eye(3))[0]
    assert probe_error(5j * np.einsum("mn,nij->mij", mixing, probe), probe) < 1e-9
    weak = np.sum(np.abs(probe[1:]) ** 2) / np.sum(np.abs(probe) ** 2)
    assert probe_error(probe[:1], probe) == pytest.approx(np.sqrt(weak), rel=1e-6)


def test_dictionary_is_json_and_sentence_has_the_numbers():
    found = compare(NOISY)
    read = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert read["error"] == found.error
    assert read["against"] == "truth"
    assert len(read["frc"]["frequency"]) == found.frc.frequency.size
    sentence = found.sentence()
    assert f"{found.error:.1%}" in sentence
    assert "the truth" in sentence
    assert "\n" not in sentence


def test_objects_that_cannot_be_compared_are_refused():
    result = known_result()
    with pytest.raises(InputError, match="no truth to compare"):
        compare(replace(result, scan=replace(result.scan, truth=None)))
    coarse = replace(result, y=2 * result.y, x=2 * result.x)
    with pytest.raises(InputError, match=r"24 nm x 20 nm and 12 nm x 10 nm"):
        compare(coarse)
    with pytest.raises(InputError, match="too small"):
        compare(replace(result, y=result.y + 1e-3))
    with pytest.raises(InputError, match="not finite"):
        compare(replace(result, object=result.object * np.complex64(np.nan)))
    with pytest.raises(InputError, match="no contrast"):
        compare(result, replace(result, object=np.ones_like(result.object)))
