"""Tests of a part of the model see the problems that the engine's tests share."""

import pytest
from problems import ON_TENSORS, Backend


@pytest.fixture(params=[pytest.param(Backend("cpu", 2), id="cpu"), *ON_TENSORS])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Return what makes the sweeps of a problem on each of the devices, ``backend(problem, modes)``."""
    made: Backend = request.param
    return made
