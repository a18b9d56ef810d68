"""Preparation of a scan for its reconstruction. Each step is a function that takes a Scan and returns a Scan."""

from exitwave.preparation.background import find_floor, set_background, subtract_dark
from exitwave.preparation.crop import crop_frames, find_centre, signal_size
from exitwave.preparation.monitor import use_monitor
from exitwave.preparation.pipeline import prepare
from exitwave.preparation.pixels import clean_pixels, find_bad_pixels, find_saturation
from exitwave.preparation.positions import clean_positions
from exitwave.preparation.probe import Mirrors, ZonePlate, optics_of, set_starting_probe
from exitwave.preparation.survey import Survey, survey_frames
from exitwave.preparation.view import apply_view

__all__ = [
    "Mirrors",
    "Survey",
    "ZonePlate",
    "apply_view",
    "clean_pixels",
    "clean_positions",
    "crop_frames",
    "find_bad_pixels",
    "find_centre",
    "find_floor",
    "find_saturation",
    "optics_of",
    "prepare",
    "set_background",
    "set_starting_probe",
    "signal_size",
    "subtract_dark",
    "survey_frames",
    "use_monitor",
]
