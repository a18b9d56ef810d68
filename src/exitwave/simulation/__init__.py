"""Simulation of scans with a known object: specimens, forward model, detector faults and beamline presets."""

from exitwave.simulation.experiment import simulate
from exitwave.simulation.forward import SimulatedFrames, intensity
from exitwave.simulation.presets import PRESETS, Preset
from exitwave.simulation.specimens import SPECIMENS, cells, siemens_star, texture

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
