"""All steps of preparation in their order, after one pass over the frames."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError
from exitwave.frames import View
from exitwave.preparation.background import Treatment, set_background, subtract_dark
from exitwave.preparation.crop import Size, crop_frames
from exitwave.preparation.monitor import use_monitor
from exitwave.preparation.pixels import clean_pixels
from exitwave.preparation.positions import clean_positions
from exitwave.preparation.probe import Optics, set_starting_probe
from exitwave.preparation.survey import Progress, survey_frames
from exitwave.scan import Scan, with_unreadable_frames

Pixels = Literal["mask", "interpolate", "none"]
Background = Treatment | Literal["none"]


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
    """Return a scan that is ready for its reconstruction. The patterns stay in the file and are changed when read.

    Each step is recorded in ``preparation``, and the frames that it excludes in ``left_out``. The number of frames does
    not change.

    Parameters
    ----------
    scan : Scan
        The measured scan.
    pixels : str
        ``mask``: find bad pixels and mask them; ``interpolate``: also replace their counts by the mean of their good
        neighbours; ``none``: use the mask of the file.
    background : str
        ``model``: dark frame and scattered light become the detector's dark frame; ``subtract``: they are subtracted
        from the patterns; ``none``: the background is neither estimated nor changed.
    dark : ndarray of shape (ny, nx) or (n, ny, nx), optional
        Dark frame in counts, instead of the file's.
    crop : int, "auto" or None
        Pixels along a side before binning. ``auto``: those with signal. None: all, with zero frequency at the middle
        of the frame unless a centre is given.
    bin : int
        Number of pixels that are summed along each axis.
    centre : tuple of float, optional
        Row and column of zero frequency; without it the centre is found from the patterns.
    positions : bool
        Whether to look for implausible positions.
    monitor : ndarray of shape (npos,), optional
        Intensity of the beam in each frame, in any unit.
    optics : ZonePlate, Mirrors or str, optional
        The lens from which the starting probe is computed, or a beamline, ``2-ID-D`` or ``26-ID``.
    progress : callable, optional
        Called with the number of frames that have been read, and the number of all frames.

    Returns
    -------
    Scan

    Raises
    ------
    InputError
        If the scan cannot be used, or an argument does not fit it.
    """
    if dark is not None and background == "none":
        remedy = "Choose background model or subtract, or omit the dark frame"
        raise InputError("A dark frame is given, but background is none", remedy=remedy)
    View(bin=bin)  # refuses an invalid bin before the frames are read
    survey = survey_frames(scan, progress)
    scan = with_unreadable_frames(scan)
    done = scan if pixels == "none" else clean_pixels(scan, interpolate=pixels == "interpolate", survey=survey)
    done = set_background(done, dark=dark, survey=survey) if background != "none" else done
    done = clean_positions(done) if positions else done
    done = use_monitor(done, monitor, survey=survey) if monitor is not None else done
    counts = float(np.median(survey.frame_counts(done.detector.always_good)))
    if crop is None and centre is None:
        centre = (scan.patterns.shape[1] // 2, scan.patterns.shape[2] // 2)
    done = crop_frames(done, crop, bin=bin, centre=centre, survey=survey)
    done = set_starting_probe(done, optics, counts=counts) if optics is not None else done
    return subtract_dark(done) if background == "subtract" else done
