"""Scans of known truth: specimens, the forward model, the detector and its faults, and beamline presets."""

import sys
from types import ModuleType
from typing import Any

from exitwave.scan import Scan
from exitwave.simulate.experiment import simulate
from exitwave.simulate.forward import SimulatedFrames, intensity
from exitwave.simulate.presets import PRESETS, Preset
from exitwave.simulate.specimens import SPECIMENS, cells, siemens_star, texture

__all__ = [
    "PRESETS",
    "SPECIMENS",
    "Preset",
    "SimulatedFrames",
    "cells",
    "intensity",
    "siemens_star",
    "simulate",
    "texture",
]


class _Room(ModuleType):
    """The room has the name of its main function: importing it must not take ``exitwave.simulate(...)`` away."""

    def __call__(self, *args: Any, **settings: Any) -> Scan:
        return simulate(*args, **settings)


sys.modules[__name__].__class__ = _Room
