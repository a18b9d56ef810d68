"""All steps of preparation in their order, after one look at the frames."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError
from exitwave.frames import View
from exitwave.preparation.background import How, subtract_dark
from exitwave.preparation.background import background as know_background
from exitwave.preparation.crop import Size
from exitwave.preparation.crop import crop as cut
from exitwave.preparation.monitor import use_monitor
from exitwave.preparation.pixels import clean_pixels
from exitwave.preparation.positions import clean_positions
from exitwave.preparation.probe import Optics, start_probe
from exitwave.preparation.survey import Progress, survey
from exitwave.scan import Scan

Pixels = Literal["mask", "interpolate", "none"]
Background = How | Literal["none"]


def prepare(
    scan: Scan,
    *,
    pixels: Pixels = "mask",
    background: Background = "model",
    dark: NDArray[Any] | None = None,
    crop: Size = "auto",
    bin: int = 1,
    centre: tuple[float, float] | None = None,
    positions: bool = True,
    monitor: NDArray[Any] | None = None,
    optics: Optics | str | None = None,
    progress: Progress | None = None,
) -> Scan:
    """Return a scan that is ready to be reconstructed. Its frames stay in the file and are changed as they are read.

    Every step is recorded in ``preparation``, and frames that it refuses in ``left_out``; their number never changes.

    Parameters
    ----------
    scan : Scan
        The measurement.
    pixels : str
        ``mask``: bad pixels are found and left out; ``interpolate``: also shown as the mean of their good neighbours;
        ``none``: the mask of the file is believed.
    background : str
        ``model``: dark frame and scattered light are the detector's dark frame; ``subtract``: they are taken off;
        ``none``: neither is looked for.
    dark : ndarray of shape (ny, nx) or (n, ny, nx), optional
        Dark frame in counts, in place of the file's.
    crop : int, "auto" or None
        Pixels along a side before binning; auto: those with signal; None: all, with zero
        frequency where it is unless a centre is given.
    bin : int
        Pixels that are summed along each axis.
    centre : tuple of float, optional
        Row and column of zero frequency; else it is found.
    positions : bool
        Whether positions that cannot be right are looked for.
    monitor : ndarray of shape (npos,), optional
        Intensity of the beam in every frame.
    optics : ZonePlate, Mirrors or str, optional
        The lens, from which the starting probe is computed, or a beamline, ``2-ID-D`` or ``26-ID``.
    progress : callable, optional
        Is told how many frames have been looked at, of how many.

    Returns
    -------
    Scan

    Raises
    ------
    InputError
        If the scan cannot be used, or something given does not fit it.
    """
    if dark is not None and background == "none":
        remedy = "Choose background model or subtract, or leave the dark frame out"
        raise InputError("A dark frame is given, and no background wanted", found="none", remedy=remedy)
    View(bin=bin)  # refuses what is no bin before the frames are looked at
    known = survey(scan, progress)
    done = scan if pixels == "none" else clean_pixels(scan, interpolate=pixels == "interpolate", found=known)
    done = know_background(done, dark=dark, found=known) if background != "none" else done
    done = clean_positions(done) if positions else done
    done = use_monitor(done, monitor, found=known) if monitor is not None else done
    counts = float(np.median(known.frame_counts(done.detector.always_good)))
    if crop is None and centre is None:
        centre = (scan.patterns.shape[1] // 2, scan.patterns.shape[2] // 2)
    done = cut(done, crop, bin=bin, centre=centre, found=known)
    done = start_probe(done, optics, counts=counts) if optics is not None else done
    return subtract_dark(done) if background == "subtract" else done
