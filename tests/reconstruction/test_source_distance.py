"""The source distance of a near field, found from the frames."""

from dataclasses import replace

import pytest

import exitwave
from exitwave.errors import InputError
from exitwave.reconstruction import auto, source_distance
from exitwave.reconstruction.source_distance import find_source_distance
from exitwave.scan import NearField


@pytest.fixture(scope="module")
def near():
    return exitwave.simulate("near-field", frames=80, detector=128, photons=1e7)


def test_the_distance_is_found_from_the_frames(near, monkeypatch):
    monkeypatch.setattr(source_distance, "STEPS", ((0.9, 1.0),))
    messages: list[str] = []
    unknown = replace(near, near=NearField(None))
    found, decision = find_source_distance(unknown, {"threads": 1}, messages.append)
    assert found == pytest.approx(near.near.source_distance, rel=0.1)
    assert decision.settings == {"source_distance": found}
    assert messages


def test_frames_that_are_no_images_need_the_distance():
    far = exitwave.simulate(detector=128, frames=60, photons=1e6, seed=3)
    with pytest.raises(InputError, match=r"needs the distance .*--set source_distance=5mm"):
        find_source_distance(replace(far, near=NearField(None)), {}, lambda _: None)


def test_measured_images_give_the_known_distance(measured, monkeypatch):
    monkeypatch.setattr(source_distance, "STEPS", ((1.0,),))
    monkeypatch.setattr(auto, "MODES", 1)
    scan = exitwave.open(measured / "petra_p25_near_field.cxi")
    found = exitwave.choose(scan, geometry="near", threads=2, position_update=False)
    assert found.scan.near.source_distance == pytest.approx(3.65e-3, rel=0.05)
    assert found.recipe.source_distance == found.scan.near.source_distance
