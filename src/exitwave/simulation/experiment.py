"""The simulated experiment: make a Scan with a known object from a preset, a scan pattern, a specimen and a seed."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.optics import angular_spectrum_kernel, probe_diameter, wavelength
from exitwave.positions import (
    FERMAT_NEIGHBOUR,
    concentric_rings,
    fermat_spiral,
    jittered_grid,
    object_grid,
    raster,
    step_for_overlap,
)
from exitwave.scan import Scan, Truth
from exitwave.simulation.detector import make_detector, random_stream
from exitwave.simulation.forward import SimulatedFrames
from exitwave.simulation.presets import preset as find_preset
from exitwave.simulation.probe import make_modes, make_probe_changes
from exitwave.simulation.settings import ScanSettings, Settings, check, check_settings
from exitwave.simulation.slices import make_object, make_slice_positions

JITTER = 0.25
"""Amplitude of the jittered grid, in steps."""
Positions = NDArray[np.float64]


def simulate(preset: str = "26-ID", **settings: Any) -> Scan:
    """Return a simulated scan with its truth. Frames are computed when they are read; the seed determines all of them.

    Parameters
    ----------
    preset : str
        Beamline, ``26-ID`` or ``2-ID-D``: energy, distance, detector pixel and zone plate; or ``near-field``, where a
        detector records the sample in the cone beam behind a focus, after a diffuser.
    scan : str, default "fermat"
        Scan pattern: ``fermat``, ``raster``, ``rings`` or ``jitter``. ``fermat`` and ``rings`` have exactly the given
        number of frames (the outermost ring is cut). ``raster`` and ``jitter`` fill the rectangle nearest to a square
        with about that number.
    frames : int, optional
        Number of frames; the preset's where not given.
    detector : int, optional
        Pixels along a side of the detector; the preset's where not given.
    step : float, optional
        Step of the scan pattern in metres: distance of lines, of rings, ``step_size`` of the spiral. Where not given,
        neighbours overlap by the preset's 70 %, or 92 % in the near field.
    photons : float, default 2e6
        Photons in the beam during a frame.
    modes : int, default 1
        Number of incoherent probe modes; all but the first together have a tenth of the power.
    mode_powers : sequence of float, optional
        Relative powers of the modes, one for each; their number is the number of modes.
    probe_drift : float, default 0
        Root mean square of the change of the first mode over the scan, relative to the mode: ||P_j - P|| / ||P||. The
        change grows steadily along one direction, as if the beam moved across the lens, and is 0 in the middle of the
        scan.
    beam_fluctuation : float, default 0
        Root mean square of the intensity of the beam from frame to frame, relative to the mean.
    pointing : float, default 0
        Root mean square of the shift of the diffraction pattern along rows, and along columns, in detector pixels: the
        beam hits the sample at a varying angle.
    centre : sequence of float, default (0, 0)
        Distance (row, column) from the middle of the detector to the middle of the beam, in detector pixels. The
        pattern is periodic: it leaves the detector at one side and enters at the other.
    fly : float, default 0
        Motion of the probe along x during a frame, in diameters of the probe; the positions are the middle of it.
    position_error : float, default 0
        Root mean square along x, and along y, of the difference between true and nominal positions in metres.
    affine : array_like of shape (2, 2), optional
        The true positions are this matrix times the nominal ones about their mean, in (x, y). The errors are added
        after it.
    dark : float, default 0
        Mean dark current in counts per pixel and frame. It is added to the frames; the scan's detector has its mean
        frame.
    background : float, default 0
        Mean counts per pixel and frame without the beam that are not in the dark frame of the scan's detector.
    flat : float, default 0
        Root mean square of the efficiency of the pixels, relative to the mean. It is the flat field of the detector,
        and the frames are not corrected for it.
    blur : float, default 0
        Standard deviation of the point spread of the detector in pixels; it is periodic at the edges.
    bad_pixels : float, default 0
        Fraction of pixels that are bad, half of them hot and half dead.
    saturation : float, optional
        Highest count of a pixel; 2**20 - 1 where not given.
    specimen : str, default "cells"
        Specimen: ``cells``, ``star``, ``texture`` or ``particles``.
    slices : int, default 1
        Number of slices of a thick sample: specimens with consecutive seeds.
    slice_spacing : float, optional
        Distance from one slice to the next in metres; one depth of focus of the beam where not given.
    seed : int, default 0
        Seed of specimen, noise, bad pixels, position errors and fluctuations of the beam.

    Returns
    -------
    Scan
        Nominal positions, the true probe as the starting probe, and the truth: its object lies on the grid of the
        true positions.

    Raises
    ------
    InputError
        If a name is unknown, a number is out of range, or the detector is too small for the lens.
    TypeError
        If a setting is unknown.
    """
    beamline = find_preset(preset)
    chosen = Settings(**settings)
    frames = beamline.frames if chosen.frames is None else chosen.frames
    side = beamline.detector if chosen.detector is None else chosen.detector
    check_settings(chosen, frames, side, near=beamline.near is not None)
    shape = (side, side)
    probe, pixel = beamline.probe(shape)
    spacing = step_for_overlap(beamline.overlap, probe_diameter(probe, pixel))
    positions = _nominal_positions(chosen.scan, frames, chosen.step, spacing, chosen.seed)
    length = wavelength(beamline.energy)
    truth = _truth(chosen, positions, probe, pixel, length)
    detector = make_detector(shape, beamline.detector_pixel, beamline.distance, chosen, chosen.seed)
    patterns = SimulatedFrames(
        truth,
        detector,
        chosen.seed,
        blur=chosen.blur,
        slice_transfer=None if truth.z is None else _transfer(shape, truth.z[1], length, pixel),
        transfer=beamline.transfer(shape),
    )
    return Scan(
        patterns=patterns,
        positions=positions,
        energy=float(beamline.energy),
        detector=detector,
        probe=truth.probe,
        name=f"simulated {chosen.specimen}",
        description=f"Simulated ptychography: {chosen.scan} scan, {chosen.photons:.3g} photons per frame, "
        f"seed {chosen.seed}",
        instrument=beamline.instrument,
        truth=truth,
        near=beamline.near,
    )


def _truth(
    settings: Settings,
    positions: Positions,
    probe: NDArray[np.complex128],
    pixel: tuple[float, float],
    wavelength: float,
) -> Truth:
    """Return the true object, probe modes, positions and changes from frame to frame, of a probe of unit power."""
    shape = (probe.shape[0], probe.shape[1])
    true_positions = _true_positions(positions, settings, settings.seed)
    motion = np.array([settings.fly * probe_diameter(probe, pixel), 0.0, 0.0])
    y, x = object_grid(np.concatenate([true_positions - motion / 2, true_positions + motion / 2]), shape, pixel)
    modes = make_modes(probe * math.sqrt(settings.photons), settings.mode_count, settings.mode_powers)
    model = make_probe_changes(modes[0], len(positions), settings, settings.seed)
    if settings.fly:
        model["motion"] = motion[:2]
    if settings.background > 0:
        model["background"] = np.full(shape, settings.background)
    return Truth(
        object=make_object(settings.specimen, (y.size, x.size), settings.slices, settings.seed),
        x=x,
        y=y,
        probe=modes,
        positions=true_positions,
        model=model,
        z=make_slice_positions(probe, pixel, wavelength, settings.slices, settings.slice_spacing),
    )


def _transfer(
    shape: tuple[int, int], distance: float, wavelength: float, pixel: tuple[float, float]
) -> NDArray[np.complex128]:
    """Return the transfer function from one slice to the next, shape (ny, nx), zero frequency at [0, 0]."""
    return np.asarray(angular_spectrum_kernel(shape, distance, wavelength, pixel).astype(np.complex128))


def _true_positions(positions: Positions, settings: ScanSettings, seed: int) -> Positions:
    """Return the affine image of the nominal positions plus random errors, shape (npos, 3), in metres."""
    true = positions.copy()
    if settings.affine is not None:
        matrix = np.asarray(settings.affine, np.float64)
        true[:, :2] = (positions - positions.mean(0))[:, :2] @ matrix.T + positions.mean(0)[:2]
    true[:, :2] += random_stream(seed, 1).normal(0.0, 1.0, (len(positions), 2)) * settings.position_error
    return true


def _nominal_positions(scan: str, frames: int, step: float | None, spacing: float, seed: int) -> Positions:
    """Return the nominal positions of a scan pattern, shape (npos, 3), in metres.

    Without a step, neighbours are ``spacing`` metres apart.
    """
    rows = max(1, round(math.sqrt(frames)))
    rectangle = (rows, max(1, round(frames / rows)))
    rings = math.ceil((math.sqrt(1 + 4 * (frames - 1) / 3) - 1) / 2)  # 1 + 3 k (k + 1) >= frames
    pitch = spacing if step is None else step
    patterns: dict[str, Callable[[], Positions]] = {
        "fermat": lambda: fermat_spiral(frames, pitch / FERMAT_NEIGHBOUR if step is None else pitch),
        "raster": lambda: raster(rectangle, pitch),
        "rings": lambda: concentric_rings(rings, 6, pitch)[:frames],
        "jitter": lambda: jittered_grid(rectangle, pitch, JITTER * pitch, seed),
    }
    check(scan in patterns, "scan", repr(scan), f"one of {', '.join(patterns)}")
    return patterns[scan]()
