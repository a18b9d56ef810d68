"""The data of the package: a Scan with its Detector and lazily read patterns, and the Result of a reconstruction."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import exitwave
from exitwave.errors import Finding
from exitwave.findings import finding
from exitwave.frames import Frames, valid_counts
from exitwave.frames.input_record import InputRecord
from exitwave.frc import FRC
from exitwave.units import H_C


@dataclass(frozen=True, eq=False)
class Detector:
    """The detector behind the sample."""

    distance: float
    """Distance from the sample to the detector in metres."""
    pixel_size: tuple[float, float]
    """Size of a pixel (y, x) in metres."""
    mask: NDArray[np.uint8]
    """Bad pixels: 0 good, 1 bad; shape (ny, nx), or (npos, ny, nx) where every frame has its own mask."""
    corner_position: NDArray[np.float64] | None = None
    """Outer corner of the first pixel in the laboratory frame, (x, y, z) in metres."""
    saturation: float | None = None
    """Counts above which a pixel is saturated."""
    pixel_mask: NDArray[np.uint32] | None = None
    """Reasons why pixels are bad, shape (ny, nx), NeXus bits."""
    dark: NDArray[np.float32] | None = None
    """Mean dark frame in counts, shape (ny, nx)."""
    flat: NDArray[np.float32] | None = None
    """Flat field (relative efficiency), shape (ny, nx)."""
    countrate_correction_applied: bool = False
    """Whether the counts are corrected for the dead time."""
    flatfield_applied: bool = False
    """Whether the counts are divided by the flat field."""

    @property
    def always_good(self) -> NDArray[np.bool_]:
        """Pixels that are good in every frame, shape (ny, nx)."""
        return np.asarray(self.mask == 0 if self.mask.ndim == 2 else (self.mask == 0).all(axis=0))

    def good(self, frames: slice | int | NDArray[np.int64] = slice(None)) -> NDArray[np.bool_]:
        """Return which pixels of some frames are not masked; shape (ny, nx) where all frames share one mask."""
        return np.asarray((self.mask if self.mask.ndim == 2 else self.mask[frames]) == 0)

    def usable(
        self, counts: NDArray[Any], frames: slice | int | NDArray[np.int64] = slice(None), *, saturated: bool = False
    ) -> NDArray[np.bool_]:
        """Return which counts of some frames, shape (..., ny, nx), are valid measurements.

        Valid counts are finite, not negative, not the detector's mark for a missing measurement, not saturated (unless
        ``saturated``), and on pixels that are not masked. The mark follows from the type of ``counts``, which must be
        the type that the detector wrote.
        """
        good = self.good(frames) & valid_counts(counts)
        return good if saturated or self.saturation is None else good & (counts < self.saturation)

    def without_dark(self, counts: NDArray[Any]) -> NDArray[Any]:
        """Return counts, shape (..., ny, nx), minus the dark frame; negative differences become zero."""
        return counts if self.dark is None else np.maximum(counts - self.dark, 0)


@dataclass(frozen=True)
class NearField:
    """Geometry of a detector in the near field (Fresnel diffraction) of the sample."""

    source_distance: float | None = None
    """Distance from the source, or from the focus that acts as one, to the sample in metres; None: a parallel beam."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The true object, probe, positions and model of a simulated scan."""

    object: NDArray[np.complex64]
    """Complex transmission, shape (ny, nx), or (slices, ny, nx) of a thick sample with the first slice upstream."""
    x: NDArray[np.float64]
    """Sample coordinates of the object's pixel columns in metres, shape (nx,)."""
    y: NDArray[np.float64]
    """Sample coordinates of the object's pixel rows in metres, shape (ny,)."""
    probe: NDArray[np.complex64]
    """Probe modes, shape (modes, ny_det, nx_det), in square roots of counts under a unitary FFT."""
    positions: NDArray[np.float64]
    """True positions of the probe, shape (npos, 3), columns x, y, z in metres."""
    model: dict[str, NDArray[Any]] = field(default_factory=dict)
    """Other parts of the forward model, by the names of `Result.model`."""
    z: NDArray[np.float64] | None = None
    """Coordinates of the slices along the beam in metres, shape (slices,), the first at 0; None: a thin sample."""


@dataclass(frozen=True)
class Decision:
    """A change that preparation made to a scan, or a choice for its reconstruction, with the reason."""

    heading: str
    """Subject: frames, pixels, background, positions, monitor, crop or probe; also orientation, modes or algorithm."""
    name: str
    """What was done or chosen, in one or two words."""
    settings: dict[str, Any]
    """The values with which it can be repeated, ready for JSON."""
    why: str
    """The reason, in one line."""


@dataclass(frozen=True, eq=False)
class Scan:
    """A ptychographic measurement in SI units, as in the file."""

    patterns: Frames
    """Patterns in counts, shape (npos, ny, nx), zero frequency at n//2; read from the file when they are sliced."""
    positions: NDArray[np.float64]
    """Centre of the probe on the sample, shape (npos, 3), columns x, y, z in metres."""
    energy: float
    """Photon energy in eV."""
    detector: Detector
    """Distance, pixel size, mask and other properties of the detector."""
    probe: NDArray[np.complex64] | None = None
    """Starting probe, shape (modes, ny, nx), or None."""
    name: str = ""
    """Name of the sample."""
    description: str = ""
    """Description of the experiment."""
    instrument: str = ""
    """Name of the beamline or instrument."""
    truth: Truth | None = None
    """The simulated truth, or None for a measurement."""
    near: NearField | None = None
    """Geometry of the near field; None: the patterns are far-field patterns."""
    monitor: NDArray[np.float64] | None = None
    """Intensity of the beam in every frame, from a monitor, in any unit, shape (npos,); None: unknown.

    A reconstruction scales the starting probe of each frame by its square root. The counts are not changed.
    """
    left_out: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Indices of the frames that are excluded, by the reason. All other frames are used."""
    preparation: tuple[Decision, ...] = ()
    """What preparation did to the scan, in order."""
    path: Path | None = None
    """The file that the scan was read from."""
    findings: tuple[Finding, ...] = field(default=(), compare=False)
    """Findings of the reader: what it had to decide or repair."""

    def __repr__(self) -> str:
        frames, ny, nx = self.patterns.shape
        return f"Scan({self.name!r}: {frames} frames of {ny} x {nx}, {self.energy:g} eV, {self.path})"

    @property
    def used_frames(self) -> NDArray[np.int64]:
        """Sorted indices of the frames that are used: all that are not in `left_out`."""
        left_out = [index for indices in self.left_out.values() for index in indices]
        return np.setdiff1d(np.arange(len(self.patterns)), left_out)

    @property
    def wavelength(self) -> float:
        """Wavelength in metres."""
        return H_C / self.energy

    @property
    def magnification(self) -> float:
        """Magnification of the sample on the detector in the near field: (z1 + z2) / z1; 1 in a parallel beam.

        z1 is the distance from the source to the sample, z2 the distance from the sample to the detector.
        """
        z1 = self.near.source_distance if self.near else None
        return 1.0 if z1 is None else (z1 + self.detector.distance) / z1

    @property
    def propagation_distance(self) -> float:
        """Distance in metres after which a parallel beam gives the same near field: z2 / magnification.

        This is the Fresnel scaling theorem: D. Paganin, Coherent X-Ray Optics (2006), appendix B.
        """
        return self.detector.distance / self.magnification

    @property
    def object_pixel(self) -> tuple[float, float]:
        """Pixel size (y, x) of the reconstruction in metres.

        Far field: wavelength * distance / (n * detector pixel); near field: detector pixel / magnification.
        """
        (ny, nx), (py, px) = self.patterns.shape[1:], self.detector.pixel_size
        if self.near:
            return py / self.magnification, px / self.magnification
        reach = self.wavelength * self.detector.distance
        return reach / (ny * py), reach / (nx * px)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the scan as a CXI file, see `exitwave.save`."""
        exitwave.save(self, path, overwrite=overwrite)

    def to_tike(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of ``tike.ptycho``, see `exitwave.to_tike`."""
        return exitwave.to_tike(self)

    def to_ptychi(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of ``ptychi.api.task.PtychographyTask``, see `exitwave.to_ptychi`."""
        return exitwave.to_ptychi(self)


@dataclass(frozen=True, eq=False)
class Result:
    """A reconstruction, with everything that is needed to compute the model patterns from it."""

    scan: Scan
    """The scan that was reconstructed."""
    object: NDArray[np.complex64]
    """Complex transmission of the sample, shape (ny, nx), or (slices, ny, nx) of a thick one, first slice upstream."""
    probe: NDArray[np.complex64]
    """Probe modes, shape (modes, ny_det, nx_det), in square roots of counts under a unitary FFT."""
    x: NDArray[np.float64]
    """Sample coordinates of the object's pixel columns in metres, shape (nx,)."""
    y: NDArray[np.float64]
    """Sample coordinates of the object's pixel rows in metres, shape (ny,)."""
    positions: NDArray[np.float64]
    """Positions that were used, shape (npos, 3), columns x, y, z in metres."""
    mask: NDArray[np.float32]
    """Area of the object that the beam has illuminated, shape (ny, nx): 1 inside, 0 outside."""
    errors: NDArray[np.float32]
    """Error metric of every iteration, shape (iterations,); the last one belongs to the stored object and probe."""
    holdout_errors: NDArray[np.float32]
    """Error metric on the held-out frames, shape (iterations,), or empty."""
    held_out: NDArray[np.int64]
    """Indices of the held-out frames."""
    algorithm: str
    """Name of the algorithm."""
    recipe: dict[str, Any]
    """All settings of the reconstruction, ready for JSON."""
    provenance: dict[str, str]
    """program, version, date, command, stopped_by, input and its digest."""
    model: dict[str, NDArray[Any]] = field(default_factory=dict)
    """Refined parts of the forward model beside object, probe and positions, by the names of the engine's state:
    ``probe_factors`` (npos,), factor of the probe in every frame; ``opr_modes`` (n, ny, nx), modes that are added to
    the first probe mode, and ``opr_weights`` (npos, n), their weights in every frame; ``exposures`` (npos, n, 2),
    positions of the exposures of a fly scan relative to those of their frames, columns x and y in metres; ``pointing``
    (npos, 2), shift of the pattern on the detector in pixels (row, column); ``background`` (ny, nx), counts without
    the beam in addition to the known dark frame, zero frequency at n//2; ``distance`` and ``assumed_distance`` (), the
    refined detector distance in metres (the scan has it too) and the distance before the refinement."""

    z: NDArray[np.float64] | None = None
    """Coordinates of the slices along the beam in metres, shape (slices,), the first at 0; None: a thin sample."""
    holdout_deviances: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    """Poisson deviance of the held-out frames per pixel and frame, shape (iterations,), or empty: the score by which
    the iterations were judged (`exitwave.reconstruction.score`)."""
    choices: tuple[Decision, ...] = ()
    """Choices that were made automatically because the user had not set them."""
    frc: FRC | None = None
    """Fourier ring correlation of two reconstructions from halves of the scan; None: not measured."""
    input: InputRecord = field(default_factory=InputRecord)
    """Size, time and digests of the files with the frames that were reconstructed, by which a change is found."""

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.object.shape))
        return f"Result({self.algorithm}: {size} pixels, {len(self.errors)} iterations, of {self.scan})"

    @property
    def slices(self) -> int:
        """Number of slices."""
        return 1 if self.object.ndim == 2 else len(self.object)

    @cached_property
    def object_pixel(self) -> tuple[float, float]:
        """Size of an object pixel (y, x) in metres."""
        return float(self.y[1] - self.y[0]), float(self.x[1] - self.x[0])

    def save(self, path: str | Path, *, overwrite: bool = False, embed: bool = False) -> None:
        """Write the result as a CXI file, see `exitwave.save`."""
        exitwave.save(self, path, overwrite=overwrite, embed=embed)

    def to_tike(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of ``tike.ptycho``, see `exitwave.to_tike`."""
        return exitwave.to_tike(self)

    def to_ptychi(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of ``ptychi.api.task.PtychographyTask``, see `exitwave.to_ptychi`."""
        return exitwave.to_ptychi(self)


def scan_in(data: Scan | Result) -> Scan:
    """Return the scan itself, or the scan of a result."""
    return data.scan if isinstance(data, Result) else data


UNREADABLE = "not readable in the file"
"""Reason why frames are left out whose data are damaged."""


def with_unreadable_frames(scan: Scan) -> Scan:
    """Return the scan with the frames that could not be read so far among those that are left out, and a finding.

    The frames are found while they are read. The scan is returned unchanged if it lists all of them already.
    """
    known = set(scan.left_out.get(UNREADABLE, ()))
    lost = set(scan.patterns.damaged.tolist()) | known
    if lost == known:
        return scan
    indices = tuple(sorted(lost))
    named = ", ".join(map(str, indices[:12])) + (", ..." if len(indices) > 12 else "")
    found = f"{len(indices)} of {len(scan.patterns)} frames cannot be read ({named})"
    remedy = "They are left out. Copy the file again from the original, or refuse them with frames.damaged=refuse"
    note = finding("W237", scan.patterns.dataset, found, "frames that can be read", remedy)
    findings = (*(each for each in scan.findings if each.code != note.code), note)
    left_out = {UNREADABLE: indices} | {why: frames for why, frames in scan.left_out.items() if why != UNREADABLE}
    return replace(scan, left_out=left_out, findings=findings)


def with_scan(data: Scan | Result, scan: Scan) -> Scan | Result:
    """Return ``scan``, or where ``data`` is a result, that result with ``scan`` in it."""
    return replace(data, scan=scan) if isinstance(data, Result) else scan
