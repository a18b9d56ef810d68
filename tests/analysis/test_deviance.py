from dataclasses import replace

import numpy as np
import pytest
from known import known_result

from exitwave.analysis.deviance import deviance_of_held_out, deviance_of_used, measure
from exitwave.analysis.error import ModelledFrame, modelled_frames
from exitwave.frames import Frames
from exitwave.scan import Result


@pytest.fixture(scope="module")
def perfect() -> Result:
    """Return a result that is the truth, with frames of Poisson counts about its model."""
    result = known_result(npos=20)
    rng = np.random.default_rng(5)
    frames = [rng.poisson(frame.model) for frame in modelled_frames(result, range(20))]
    return replace(result, scan=replace(result.scan, patterns=Frames(np.array(frames, np.float32))))


def test_deviance_of_the_truth_is_that_of_photon_noise(perfect: Result) -> None:
    for found in (deviance_of_used(perfect), deviance_of_held_out(perfect)):
        assert found is not None
        assert abs(found.sigmas) < 4
        assert found.ratio == pytest.approx(1, abs=0.06)
    assert found.frames == len(perfect.held_out)


def test_deviance_of_a_wrong_model_is_larger(perfect: Result) -> None:
    found = deviance_of_used(replace(perfect, object=np.roll(perfect.object, 1, axis=0)))
    assert found is not None
    assert found.sigmas > 20


def test_held_out_frames_outside_the_covered_area_are_not_compared(perfect: Result) -> None:
    assert deviance_of_held_out(replace(perfect, mask=np.zeros_like(perfect.mask))) is None
    assert deviance_of_held_out(replace(perfect, held_out=np.arange(0))) is None


def test_saturated_pixels_below_the_model_are_not_compared() -> None:
    model = np.full((8, 8), 100.0)
    counts = np.random.default_rng(0).poisson(model).astype(np.float32)
    bound = np.zeros((8, 8), bool)
    bound[0] = True
    frame = ModelledFrame(0, np.where(bound, 10, counts), np.where(bound, 10, model), np.ones((8, 8), bool), bound)
    found, others = measure([frame]), measure([ModelledFrame(0, counts[1:], model[1:], ~bound[1:], bound[1:])])
    assert found == others
