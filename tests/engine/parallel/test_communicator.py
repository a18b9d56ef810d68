"""Communication between processes."""

from importlib import util

import pytest

from exitwave.engine.parallel.communicator import TorchCommunicator
from exitwave.engine.parallel.launcher import LaunchInfo
from exitwave.errors import InputError


def test_without_torch_the_error_names_the_package_to_install(monkeypatch):
    monkeypatch.setattr(util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"2 processes.*exitwave\[cuda\]"):
        TorchCommunicator(LaunchInfo(0, 2, "127.0.0.1", 1))
