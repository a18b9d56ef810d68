"""The nouns that travel: what was measured (Scan), with its lazy Frames and its Detector, and the Result."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import exitwave
from exitwave.errors import Finding
from exitwave.frames import Frames, counted
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
    """Bad pixels, shape (ny, nx), or (npos, ny, nx) where every frame has its own: 0 good, 1 bad."""
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
        """Which pixels are good in every frame, shape (ny, nx)."""
        return np.asarray(self.mask == 0 if self.mask.ndim == 2 else (self.mask == 0).all(axis=0))

    def good(self, frames: slice | int | NDArray[np.int64] = slice(None)) -> NDArray[np.bool_]:
        """Return which pixels of some frames are not masked, shape (ny, nx) where all frames share a mask."""
        return np.asarray((self.mask if self.mask.ndim == 2 else self.mask[frames]) == 0)

    def usable(
        self, counts: NDArray[Any], frames: slice | int | NDArray[np.int64] = slice(None), *, saturated: bool = False
    ) -> NDArray[np.bool_]:
        """Say which counts of some frames, shape (..., ny, nx), are measurements.

        Those are finite, not negative, not the detector's mark of no measurement, not saturated (unless those are
        wanted), and on pixels that are not masked. The mark is told by the type that the detector wrote.
        """
        good = self.good(frames) & counted(counts)
        return good if saturated or self.saturation is None else good & (counts < self.saturation)

    def without_dark(self, counts: NDArray[Any]) -> NDArray[Any]:
        """Return counts, shape (..., ny, nx), less the dark frame; what falls below zero becomes zero."""
        return counts if self.dark is None else np.maximum(counts - self.dark, 0)


@dataclass(frozen=True)
class NearField:
    """A detector so near behind the sample that it sees an image in Fresnel diffraction, not the far field."""

    source_distance: float | None = None
    """From the source, or the focus that acts as one, to the sample in metres; None: the beam is parallel."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What a simulation knows: the sample and the beam that made the frames."""

    object: NDArray[np.complex64]
    """Complex transmission, shape (ny, nx), of a thick sample (slices, ny, nx), the first slice upstream."""
    x: NDArray[np.float64]
    """Sample coordinates of the object's pixel columns in metres, shape (nx,)."""
    y: NDArray[np.float64]
    """Sample coordinates of the object's pixel rows in metres, shape (ny,)."""
    probe: NDArray[np.complex64]
    """Probe modes, shape (modes, ny_det, nx_det), in square roots of counts under a unitary FFT."""
    positions: NDArray[np.float64]
    """Where the probe really was, shape (npos, 3), columns x, y, z in metres."""
    model: dict[str, NDArray[Any]] = field(default_factory=dict)
    """What else made the frames, by name, as in `Result.model`."""
    z: NDArray[np.float64] | None = None
    """Where the slices of a thick sample lie along the beam in metres, shape (slices,), the first at 0; None: thin."""


@dataclass(frozen=True)
class Decision:
    """One thing that was done to a scan, or chosen for its reconstruction, and why."""

    heading: str
    """Its subject: pixels, background, positions, monitor, crop or probe; also orientation, modes or algorithm."""
    name: str
    """What was done or chosen, in a word or two."""
    settings: dict[str, Any]
    """The numbers with which it can be done again, ready for JSON."""
    why: str
    """One line of plain words."""


@dataclass(frozen=True, eq=False)
class Scan:
    """What was measured, in SI units, as in the file."""

    patterns: Frames
    """Diffraction patterns in counts, shape (npos, ny, nx), zero frequency at n//2; read when sliced."""
    positions: NDArray[np.float64]
    """Centre of the probe on the sample, shape (npos, 3), columns x, y, z in metres."""
    energy: float
    """Photon energy in eV."""
    detector: Detector
    """Distance, pixel size, mask and faults of the detector."""
    probe: NDArray[np.complex64] | None = None
    """Starting probe, shape (modes, ny, nx), or None."""
    name: str = ""
    """Name of the sample."""
    description: str = ""
    """What the experiment was, in words."""
    instrument: str = ""
    """Name of the beamline or instrument."""
    truth: Truth | None = None
    """The simulated truth, or None for a measurement."""
    near: NearField | None = None
    """That the frames are images in the near field; None: they are far-field patterns."""
    monitor: NDArray[np.float64] | None = None
    """Intensity of the beam in every frame as a monitor saw it, in any unit, shape (npos,); None: unknown.

    A reconstruction starts from probes scaled by its root; the counts stay as they are, and so does their noise.
    """
    left_out: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Frames that are not to be used, by the reason; all others are."""
    preparation: tuple[Decision, ...] = ()
    """What was done to the measurement, in this order."""
    path: Path | None = None
    """The file that the scan was read from."""
    findings: tuple[Finding, ...] = field(default=(), compare=False)
    """What the reader had to decide or repair."""

    def __repr__(self) -> str:
        frames, ny, nx = self.patterns.shape
        return f"Scan({self.name!r}: {frames} frames of {ny} x {nx}, {self.energy:g} eV, {self.path})"

    @property
    def wanted(self) -> NDArray[np.int64]:
        """Sorted indices of the frames that are to be used: all that are not left out."""
        unwanted = [index for indices in self.left_out.values() for index in indices]
        return np.setdiff1d(np.arange(len(self.patterns)), unwanted)

    @property
    def wavelength(self) -> float:
        """Wavelength in metres."""
        return H_C / self.energy

    @property
    def magnification(self) -> float:
        """How much larger the sample appears on the detector in the near field: (z1 + z2) / z1; 1 in a parallel beam.

        z1 is the distance from the source to the sample, z2 that from the sample to the detector.
        """
        z1 = self.near.source_distance if self.near else None
        return 1.0 if z1 is None else (z1 + self.detector.distance) / z1

    @property
    def propagation_distance(self) -> float:
        """Distance in metres over which a parallel beam makes the same near field: z2 / magnification.

        This is the Fresnel scaling theorem: D. Paganin, Coherent X-Ray Optics (2006), appendix B.
        """
        return self.detector.distance / self.magnification

    @property
    def object_pixel(self) -> tuple[float, float]:
        """Pixel of the reconstruction (y, x) in metres.

        In the far field wavelength * distance / (n * detector pixel), in the near field detector pixel / magnification.
        """
        (ny, nx), (py, px) = self.patterns.shape[1:], self.detector.pixel_size
        if self.near:
            return py / self.magnification, px / self.magnification
        reach = self.wavelength * self.detector.distance
        return reach / (ny * py), reach / (nx * px)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the scan as a CXI file after the schema; an existing file is refused without ``overwrite``."""
        from exitwave.cxi.write import write_scan

        write_scan(self, Path(path), overwrite=overwrite)

    def to_tike(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of ``tike.ptycho``, see `exitwave.to_tike`."""
        return exitwave.to_tike(self)

    def to_ptychi(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of ``ptychi.api.task.PtychographyTask``, see `exitwave.to_ptychi`."""
        return exitwave.to_ptychi(self)


@dataclass(frozen=True, eq=False)
class Result:
    """A reconstruction, with everything that is needed to recompute the model from it."""

    scan: Scan
    """The scan that was reconstructed."""
    object: NDArray[np.complex64]
    """Complex transmission of the sample, shape (ny, nx), of a thick one (slices, ny, nx), the first slice upstream."""
    probe: NDArray[np.complex64]
    """Probe modes, shape (modes, ny_det, nx_det), in square roots of counts under a unitary FFT."""
    x: NDArray[np.float64]
    """Sample coordinates of the object's pixel columns in metres, shape (nx,)."""
    y: NDArray[np.float64]
    """Sample coordinates of the object's pixel rows in metres, shape (ny,)."""
    positions: NDArray[np.float64]
    """Positions that were used, shape (npos, 3), columns x, y, z in metres."""
    mask: NDArray[np.float32]
    """Where the beam has been, shape (ny, nx): 1 inside, 0 outside."""
    errors: NDArray[np.float32]
    """Error metric of every iteration, shape (iterations,); the last entry is that of the stored object and probe."""
    holdout_errors: NDArray[np.float32]
    """The same on the frames held out of the reconstruction, shape (iterations,), or empty."""
    held_out: NDArray[np.int64]
    """Indices of the frames held out of the reconstruction."""
    algorithm: str
    """Name of the algorithm."""
    recipe: dict[str, Any]
    """Every setting that made the result, ready for JSON."""
    provenance: dict[str, str]
    """program, version, date, command, stopped_by, input and its digest."""
    model: dict[str, NDArray[Any]] = field(default_factory=dict)
    """What was learnt beside object, probe and positions, by the name of the field of `exitwave.engine.sweeps.State`:
    ``scales`` (npos,), factor of the probe in every frame; ``variations`` (n, ny, nx), what varies in the first mode,
    and ``weights`` (npos, n), how much of it; ``exposures`` (npos, n, 2), where those of a fly scan are beside the
    positions, columns x and y in metres; ``tilts`` (npos, 2), shift of the diffraction pattern in detector pixels
    (row, column); ``background`` (ny, nx), counts without the beam beside those that the detector knows of, zero
    frequency at n//2; ``distance`` and ``assumed_distance`` (), that of the detector in metres as it was found (the
    scan has it too) and as it was before."""

    z: NDArray[np.float64] | None = None
    """Where the slices of a thick sample lie along the beam in metres, shape (slices,), the first at 0; None: thin."""
    choices: tuple[Decision, ...] = ()
    """What was chosen for the reconstruction because nobody had said it."""
    frc: FRC | None = None
    """Fourier ring correlation of two reconstructions from half of the frames each; None: it was not measured."""

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
        """Write the result as a CXI file.

        The frames become an external link (relative) to the input, or a copy with ``embed`` or where the scan has no
        file. An existing file is refused without ``overwrite``.
        """
        from exitwave.cxi.write import write_result

        write_result(self, Path(path), overwrite=overwrite, embed=embed)

    def to_tike(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of ``tike.ptycho``, see `exitwave.to_tike`."""
        return exitwave.to_tike(self)

    def to_ptychi(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of ``ptychi.api.task.PtychographyTask``, see `exitwave.to_ptychi`."""
        return exitwave.to_ptychi(self)


def scan_in(data: Scan | Result) -> Scan:
    """Return a scan, or that of a result."""
    return data.scan if isinstance(data, Result) else data


def with_scan(data: Scan | Result, scan: Scan) -> Scan | Result:
    """Return another scan, or the result with that scan."""
    return replace(data, scan=scan) if isinstance(data, Result) else scan
