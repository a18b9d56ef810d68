"""The simulated experiment: a preset, a scan pattern, a specimen and a seed make a Scan that knows its truth."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError
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
from exitwave.simulation.detector import make_detector, stream
from exitwave.simulation.forward import SimulatedFrames
from exitwave.simulation.presets import preset as find_preset
from exitwave.simulation.probe import make_beam, make_modes
from exitwave.simulation.slices import make_object, make_slice_positions
from exitwave.simulation.specimens import SPECIMENS

JITTER = 0.25
"""Amplitude of the jittered grid, in steps."""
MOST_FRAMES, MOST_PIXELS, MOST_PHOTONS, MOST_MOTION = 10**6, 8192, 1e15, 10.0
"""More than these are a slip of the pen."""
MOST_SLICES = 64
Positions = NDArray[np.float64]


def simulate(
    preset: str = "26-ID",
    *,
    scan: str = "fermat",
    frames: int | None = None,
    detector: int | None = None,
    step: float | None = None,
    photons: float = 2e6,
    modes: int = 1,
    mode_powers: Sequence[float] | None = None,
    probe_drift: float = 0.0,
    beam_fluctuation: float = 0.0,
    pointing: float = 0.0,
    centre: Sequence[float] = (0.0, 0.0),
    fly: float = 0.0,
    position_error: float = 0.0,
    affine: Sequence[Sequence[float]] | None = None,
    dark: float = 0.0,
    background: float = 0.0,
    flat: float = 0.0,
    blur: float = 0.0,
    bad_pixels: float = 0.0,
    saturation: float | None = None,
    specimen: str = "cells",
    slices: int = 1,
    slice_spacing: float | None = None,
    seed: int = 0,
) -> Scan:
    """Return a simulated scan with its truth. Frames are computed when they are read; all follows from the seed.

    Parameters
    ----------
    preset : str
        Beamline, ``26-ID`` or ``2-ID-D``: energy, distance, detector pixel and zone plate; or ``near-field``, where a
        detector sees the sample in the cone beam of a focus behind a diffuser.
    scan : str
        Scan pattern: ``fermat``, ``raster``, ``rings`` or ``jitter``. ``fermat`` has exactly the number of frames asked
        for, ``rings`` too (the outermost ring is cut), ``raster`` and ``jitter`` have those of the rectangle nearest to
        a square with about that number.
    frames : int, optional
        Number of frames; the preset's where not given.
    detector : int, optional
        Pixels along a side of the detector; the preset's where not given.
    step : float, optional
        Step of the scan pattern in metres: distance of lines, of rings, ``step_size`` of the spiral. Where not given,
        neighbours overlap by the preset's 70 %, or 92 % in the near field.
    photons : float
        Photons in the beam during a frame.
    modes : int
        Number of incoherent probe modes; all but the first have a tenth of the power.
    mode_powers : sequence of float, optional
        Relative powers of the modes, one for each; their number is that of the modes.
    probe_drift : float
        Root mean square of the change of the first mode over the scan, relative to the mode: ||P_j - P|| / ||P||. It
        goes steadily along one direction, as if the beam moved across the lens, and is 0 in the middle of the scan.
    beam_fluctuation : float
        Root mean square of the intensity of the beam from frame to frame, relative to the mean.
    pointing : float
        Root mean square of the shift of the diffraction pattern along rows, and along columns, in detector pixels: the
        beam hits the sample at a varying angle.
    centre : sequence of float
        How far the middle of the beam (row, column) is off that of the detector, in its pixels. What leaves the
        detector at one side comes back at the other.
    fly : float
        Way of the probe along x while a frame is counted, in diameters of the probe; the positions are its middle.
    position_error : float
        Root mean square along x, and along y, of the difference between true and nominal positions in metres.
    affine : array_like of shape (2, 2), optional
        The true positions are this matrix times the nominal ones about their mean, in (x, y); after it come the errors.
    dark : float
        Mean dark current in counts per pixel and frame. It is in the frames; its mean frame is in the detector.
    background : float
        Mean counts per pixel and frame that are there without the beam, and of which the detector says nothing.
    flat : float
        Root mean square of the efficiency of the pixels, relative to the mean. It is the flat field of the detector,
        and not applied to the frames.
    blur : float
        Standard deviation of the point spread of the detector in pixels; it is periodic at the edges.
    bad_pixels : float
        Fraction of pixels that are bad, half of them hot and half dead.
    saturation : float, optional
        Highest count that a pixel reads; 2**20 - 1 where not given.
    specimen : str
        Specimen: ``cells``, ``star``, ``texture`` or ``particles``.
    slices : int
        Slices of a thick sample: specimens of other seeds, one behind the other.
    slice_spacing : float, optional
        Distance from one slice to the next in metres; one depth of focus of the beam where not given.
    seed : int
        Seed of specimen, noise, bad pixels, position errors and of what fluctuates in the beam.

    Returns
    -------
    Scan
        Nominal positions, the true probe as the starting probe, and the truth: its object lies on the grid of the
        true positions.

    Raises
    ------
    InputError
        If a name is unknown, a number makes no sense, or the detector is too small for the lens.
    """
    beamline = find_preset(preset)
    detector, frames = (
        beamline.detector if detector is None else detector,
        beamline.frames if frames is None else frames,
    )
    near = beamline.near is not None
    _check_scan(frames, detector, step, position_error, affine, fly, seed)
    _check_sample(specimen, slices, slice_spacing, near=near)
    modes = _checked_modes(modes, mode_powers)
    _check_beam(photons, probe_drift, beam_fluctuation)
    _check_direction(pointing, centre, detector, thick=slices > 1, near=near)
    _check_detector(dark, background, flat, blur, bad_pixels, saturation, detector)

    shape = (detector, detector)
    probe, pixel = beamline.probe(shape)
    neighbour = step_for_overlap(beamline.overlap, probe_diameter(probe, pixel))
    positions = _positions(scan, frames, step, neighbour, seed)
    true_positions = _true_positions(positions, affine, position_error, seed)
    motion = np.array([fly * probe_diameter(probe, pixel), 0.0, 0.0])
    y, x = object_grid(np.concatenate([true_positions - motion / 2, true_positions + motion / 2]), shape, pixel)
    true_probe = make_modes(probe * math.sqrt(photons), modes, mode_powers)
    length = wavelength(beamline.energy)
    z = make_slice_positions(probe, pixel, length, slices, slice_spacing)
    truth = Truth(
        object=make_object(specimen, (y.size, x.size), slices, seed),
        x=x,
        y=y,
        probe=true_probe,
        positions=true_positions,
        model=make_beam(
            true_probe[0],
            len(positions),
            drift=probe_drift,
            fluctuation=beam_fluctuation,
            pointing=pointing,
            centre=centre,
            seed=seed,
        )
        | ({"motion": motion[:2]} if fly else {})
        | ({"background": np.full(shape, background)} if background > 0 else {}),
        z=z,
    )
    faults = make_detector(
        shape,
        beamline.detector_pixel,
        beamline.distance,
        dark=dark,
        flat=flat,
        bad_pixels=bad_pixels,
        saturation=saturation,
        seed=seed,
    )
    between = None if z is None else angular_spectrum_kernel(shape, z[1], length, pixel).astype(np.complex128)
    return Scan(
        patterns=SimulatedFrames(truth, faults, seed, blur=blur, between=between, transfer=beamline.transfer(shape)),
        positions=positions,
        energy=float(beamline.energy),
        detector=faults,
        probe=truth.probe,
        name=f"simulated {specimen}",
        description=f"Simulated ptychography: {scan} scan, {photons:.3g} photons per frame, seed {seed}",
        instrument=beamline.instrument,
        truth=truth,
        near=beamline.near,
    )


def _true_positions(
    positions: Positions, affine: Sequence[Sequence[float]] | None, error: float, seed: int
) -> Positions:
    """Return where the probe really is: at the affine image of the positions, and off by a random error."""
    true = positions.copy()
    if affine is not None:
        matrix = np.asarray(affine, np.float64)
        true[:, :2] = (positions - positions.mean(0))[:, :2] @ matrix.T + positions.mean(0)[:2]
    true[:, :2] += stream(seed, 1).normal(0.0, 1.0, (len(positions), 2)) * error
    return true


def _check_scan(
    frames: int,
    detector: int,
    step: float | None,
    position_error: float,
    affine: Sequence[Sequence[float]] | None,
    fly: float,
    seed: int,
) -> None:
    _check(16 <= detector <= MOST_PIXELS, "detector", detector, f"16 to {MOST_PIXELS} pixels")
    _check(2 <= frames <= MOST_FRAMES, "number of frames", frames, f"2 to {MOST_FRAMES}")
    _check(seed >= 0, "seed", seed, "0 or more")
    _check(step is None or 0 < step < 1, "step", step, "a length in metres, more than 0")
    _check(0 <= position_error < 1, "position error", position_error, "a length in metres, 0 or more")
    proper = affine is None or (np.shape(affine) == (2, 2) and 0.5 <= np.linalg.det(np.asarray(affine, float)) <= 2)
    _check(proper, "affine distortion", affine, "a matrix of shape (2, 2) with a determinant from 0.5 to 2")
    _check(0 <= fly <= MOST_MOTION, "motion", fly, f"probe diameters, from 0 to {MOST_MOTION:g}")


def _check_sample(specimen: str, slices: int, slice_spacing: float | None, *, near: bool) -> None:
    _check(specimen in SPECIMENS, "specimen", specimen, f"one of {', '.join(SPECIMENS)}")
    _check(1 <= slices <= MOST_SLICES, "number of slices", slices, f"1 to {MOST_SLICES}")
    _check(slice_spacing is None or slices > 1, "slice spacing", slice_spacing, "the number of slices too")
    _check(not near or slices == 1, "number of slices", slices, "1 in the near field")


def _checked_modes(modes: int, powers: Sequence[float] | None) -> int:
    """Return the number of modes, which their powers may tell."""
    _check(modes >= 1, "number of modes", modes, "1 or more")
    if powers is None:
        return modes
    good = len(powers) > 0 and min(powers) > 0 and modes in (1, len(powers))
    _check(good, "list of mode powers", list(powers), "a power of more than 0 for each mode")
    return len(powers)


def _check_beam(photons: float, drift: float, fluctuation: float) -> None:
    _check(0 < photons <= MOST_PHOTONS, "number of photons", photons, f"more than 0 and up to {MOST_PHOTONS:g}")
    _check(0 <= drift < 1, "probe drift", drift, "a part of the probe, from 0 to below 1")
    _check(0 <= fluctuation < 1, "beam fluctuation", fluctuation, "a part of the mean, from 0 to below 1")


def _check_direction(pointing: float, centre: Sequence[float], detector: int, *, thick: bool, near: bool) -> None:
    _check(0 <= pointing < detector / 4, "pointing", pointing, "detector pixels, from 0 to a quarter of the detector")
    off = len(centre) == 2 and all(abs(each) < detector / 4 for each in centre)
    _check(off, "centre", tuple(centre), "two numbers of less than a quarter of the detector")
    upright = not (pointing or any(centre))
    _check(upright or not thick, "pointing or centre", (pointing, *centre), "0 for a thick sample")
    _check(upright or not near, "pointing or centre", (pointing, *centre), "0 in the near field")


def _check_detector(
    dark: float, background: float, flat: float, blur: float, bad_pixels: float, saturation: float | None, detector: int
) -> None:
    _check(saturation is None or saturation > 0, "saturation", saturation, "more than 0")
    _check(0 <= dark <= MOST_PHOTONS, "dark current", dark, "counts, 0 or more")
    _check(0 <= background <= MOST_PHOTONS, "background", background, "counts, 0 or more")
    _check(0 <= flat < 0.5, "flat field", flat, "a part of the mean, from 0 to below 0.5")
    _check(0 <= blur < detector / 8, "point spread", blur, "pixels, from 0 to an eighth of the detector")
    _check(0 <= bad_pixels < 1, "fraction of bad pixels", bad_pixels, "a fraction from 0 to below 1")


def _check(condition: bool, name: str, found: object, expected: str) -> None:
    if not condition:
        raise InputError(f"Cannot simulate with this {name}", found=found, remedy=f"Give {expected}")


def _positions(scan: str, frames: int, step: float | None, neighbour: float, seed: int) -> Positions:
    """Return the nominal positions of a scan pattern, shape (npos, 3), in metres; without a step, of neighbours."""
    rows = max(1, round(math.sqrt(frames)))
    rectangle = (rows, max(1, round(frames / rows)))
    rings = math.ceil((math.sqrt(1 + 4 * (frames - 1) / 3) - 1) / 2)  # 1 + 3 k (k + 1) >= frames
    pitch = neighbour if step is None else step
    patterns: dict[str, Callable[[], Positions]] = {
        "fermat": lambda: fermat_spiral(frames, pitch / FERMAT_NEIGHBOUR if step is None else pitch),
        "raster": lambda: raster(rectangle, pitch),
        "rings": lambda: concentric_rings(rings, 6, pitch)[:frames],
        "jitter": lambda: jittered_grid(rectangle, pitch, JITTER * pitch, seed),
    }
    _check(scan in patterns, "scan", repr(scan), f"one of {', '.join(patterns)}")
    return patterns[scan]()
