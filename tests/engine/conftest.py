"""Tests of a part of the model see the problems that the engine's tests share."""

import pytest
from problems import ON_TENSORS, Build


@pytest.fixture(params=[pytest.param(Build("cpu", 2), id="cpu"), *ON_TENSORS])
def build(request: pytest.FixtureRequest) -> Build:
    """Return what makes the sweeps of a problem on each of the devices, ``backend(problem, modes)``."""
    made: Build = request.param
    return made
