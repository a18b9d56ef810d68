"""Fixtures of the engine's tests."""

import pytest
from problems import ON_TENSORS, Build


@pytest.fixture(params=[pytest.param(Build("cpu", 2), id="cpu"), *ON_TENSORS])
def build(request: pytest.FixtureRequest) -> Build:
    """Return a function ``build(problem, modes)`` that makes the backend of a problem, on each of the devices."""
    made: Build = request.param
    return made
