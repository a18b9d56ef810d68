"""Starting probes from the optics, and the intensity of each frame from a monitor."""

from dataclasses import replace

import numpy as np
import pytest

import exitwave
from exitwave.errors import InputError
from exitwave.frames import Frames
from exitwave.preparation import Mirrors, ZonePlate, crop_frames, set_starting_probe, use_monitor
from exitwave.simulation import simulate


@pytest.mark.parametrize("preset", ["26-ID", "2-ID-D"])
def test_the_optics_of_a_beamline_give_the_probe_of_its_preset(preset: str) -> None:
    scan = simulate(preset, frames=20, detector=128, photons=1e6)
    made = set_starting_probe(replace(scan, probe=None), preset)
    overlap = abs(np.vdot(made.probe, scan.probe)) / np.linalg.norm(made.probe) / np.linalg.norm(scan.probe)
    assert overlap == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(made.probe) ** 2 == pytest.approx(0.75e6, rel=0.1)  # the sample absorbs
    assert made.preparation[-1].settings["diameter"] == 160e-6
    half = set_starting_probe(crop_frames(scan, 120, centre=(64, 64)), preset)
    assert half.probe.shape == (1, 120, 120)


def test_mirrors_are_accepted_and_unsuitable_optics_are_refused() -> None:
    scan = simulate(frames=20, detector=128)
    mirrors = Mirrors((0.3e-3, 0.3e-3), (0.3, 0.2), (1e-4, 1e-4))
    assert set_starting_probe(scan, mirrors).probe.shape == (1, 128, 128)
    with pytest.raises(InputError, match="Unknown optics"):
        set_starting_probe(scan, "34-ID")
    with pytest.raises(InputError, match="exceeds the angles of the detector"):
        set_starting_probe(scan, ZonePlate(160e-6, 10e-9))
    with pytest.raises(InputError, match="near field"):
        set_starting_probe(simulate("near-field", frames=10, detector=64), "26-ID")


def test_a_monitor_is_used_only_if_the_counts_follow_it() -> None:
    scan = simulate(frames=40, detector=128, photons=1e6, beam_fluctuation=0.2, seed=2)
    intensity = scan.truth.model["probe_factors"] ** 2
    known = use_monitor(scan, 7e5 * intensity)
    assert (known.preparation[-1].heading, known.preparation[-1].name) == ("monitor", "used")
    np.testing.assert_array_equal(known.monitor, 7e5 * intensity)
    how = {"iterations": 6, "threads": 1}
    plain, better = exitwave.reconstruct(scan, **how), exitwave.reconstruct(known, **how)
    assert exitwave.compare(better).error < 0.9 * exitwave.compare(plain).error
    factors = np.sqrt(intensity)
    np.testing.assert_allclose(better.model["probe_factors"], factors / factors.mean(), rtol=0.01)
    noise = np.random.default_rng(0).uniform(0.5, 1.5, 40)
    unused = use_monitor(scan, noise)
    assert unused.monitor is None
    assert (unused.preparation[-1].heading, unused.preparation[-1].name) == ("monitor", "not used")
    with pytest.raises(InputError, match="does not fit"):
        use_monitor(scan, noise[:-1])


def test_a_monitor_survives_saving_unless_it_is_invalid(tmp_path) -> None:
    scan = simulate(frames=8, detector=128)
    scan = replace(scan, patterns=Frames(scan.patterns[:]), monitor=np.arange(1.0, 9.0))
    scan.save(tmp_path / "a.cxi")
    np.testing.assert_array_equal(exitwave.open(tmp_path / "a.cxi").monitor, scan.monitor)
    replace(scan, monitor=np.zeros(8)).save(tmp_path / "b.cxi")
    again = exitwave.open(tmp_path / "b.cxi")
    assert again.monitor is None
    assert [each.code for each in again.findings] == ["W245"]
