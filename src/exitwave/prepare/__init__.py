"""What is done to a measurement before it is reconstructed: every step is a function from a Scan to a Scan."""

import sys
from types import ModuleType
from typing import Any

from exitwave.prepare.all import prepare
from exitwave.prepare.background import background, find_floor, subtract_dark
from exitwave.prepare.crop import crop, find_centre, signal_size
from exitwave.prepare.monitor import use_monitor
from exitwave.prepare.pixels import clean_pixels, find_bad_pixels, find_saturation
from exitwave.prepare.positions import clean_positions
from exitwave.prepare.probe import Mirrors, ZonePlate, optics_of, start_probe
from exitwave.prepare.survey import Survey, survey
from exitwave.prepare.view import apply_view
from exitwave.scan import Scan

__all__ = [
    "Mirrors",
    "Survey",
    "ZonePlate",
    "apply_view",
    "background",
    "clean_pixels",
    "clean_positions",
    "crop",
    "find_bad_pixels",
    "find_centre",
    "find_floor",
    "find_saturation",
    "optics_of",
    "prepare",
    "signal_size",
    "start_probe",
    "subtract_dark",
    "survey",
    "use_monitor",
]


class _Room(ModuleType):
    """The room has the name of its main function: importing it must not take ``exitwave.prepare(...)`` away."""

    def __call__(self, *args: Any, **settings: Any) -> Scan:
        return prepare(*args, **settings)


sys.modules[__name__].__class__ = _Room
