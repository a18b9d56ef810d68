"""Some frames of a result as a problem of the engine, at the state of the result."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.analysis.detector_model import detector_model
from exitwave.analysis.error import ModelledFrame
from exitwave.engine.model.detector import DetectorSettings
from exitwave.engine.model.fly_scan import Exposures
from exitwave.engine.model.near_field import Propagator
from exitwave.engine.problem import Problem
from exitwave.engine.state import MODEL_FIELDS, PER_FRAME_FIELDS, State
from exitwave.optics import angular_spectrum_kernel
from exitwave.positions.grid import to_pixels
from exitwave.scan import Result, Scan

INVALID = -1.0
"""The value that marks a pixel without a measurement."""


def engine_problem(result: Result, frames: Sequence[ModelledFrame]) -> tuple[Problem, State]:
    """Return some frames of a result of a thin sample as a problem, and the state of the result.

    Parameters
    ----------
    result : Result
        The result; its object has one slice.
    frames : sequence of ModelledFrame
        Its frames.

    Returns
    -------
    problem : Problem
        The frames in the given order, all used.
    state : State
        Object, probe and refined parameters of these frames.
    """
    scan, chosen = result.scan, np.array([frame.frame for frame in frames])
    counts = np.array([np.where(frame.good, frame.counts, INVALID) for frame in frames], np.float32)
    settings = DetectorSettings(**(result.recipe.get("detector") or {}))
    problem = Problem(
        counts=counts if scan.near else np.fft.ifftshift(counts, axes=(1, 2)),
        invalid=INVALID,
        pixels=to_pixels(result.positions[chosen], result.y, result.x).astype(np.float32),
        object_shape=(len(result.y), len(result.x)),
        used=np.arange(len(frames)),
        held_out=np.arange(0),
        photons=float(np.mean([frame.model[frame.good].sum() for frame in frames])),
        propagator=near_field_propagator(scan) if scan.near else None,
        detector=detector_model(scan, settings, saturated=True),
    )
    if "exposures" in result.model:
        offsets = result.model["exposures"][chosen][..., ::-1] / np.array(result.object_pixel)
        problem = replace(problem, exposures=Exposures(offsets))
    state = State(_contiguous(result.object), _contiguous(result.probe), np.random.default_rng(0))
    for name in MODEL_FIELDS:
        if name in result.model and name not in ("positions", "distance"):
            value = result.model[name][chosen] if name in PER_FRAME_FIELDS else result.model[name]
            setattr(state, name, np.fft.ifftshift(value) if name == "background" else value)
    return problem, state


def _contiguous(waves: NDArray[Any]) -> NDArray[np.complex64]:
    """Return waves with the type and the layout that the backends need."""
    return np.ascontiguousarray(waves, np.complex64)


def near_field_propagator(scan: Scan) -> Propagator:
    """Return the propagation from the sample to the detector of a near-field scan."""
    shape = scan.patterns.shape[1:]
    kernel = angular_spectrum_kernel(shape, scan.propagation_distance, scan.wavelength, scan.object_pixel)
    return Propagator(np.asarray(kernel, np.complex128))
