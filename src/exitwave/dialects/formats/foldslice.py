"""``foldslice``: the pair NAME_dp.hdf5 and NAME_para.hdf5 that PtychoShelves (fold_slice) prepares.

Programs use the positions with either sign, and MATLAB writes frames with swapped axes, so both are settings of the
user. The file of the parameters holds the object pixel: the detector distance follows from the detector pixel, and the
detector pixel from the distance.
"""

from pathlib import Path

import numpy as np

from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength
from exitwave.dialects.formats.ptychi import existing_pair, pair
from exitwave.dialects.tools.array_checks import NO_POSITIONS, describe
from exitwave.dialects.tools.array_file import ArrayFile, existing_entries, open_arrays
from exitwave.dialects.tools.assemble import energy_of_wavelength, length_of
from exitwave.dialects.tools.contents import Contents, build
from exitwave.dialects.tools.extra_entries import ExtraEntries
from exitwave.dialects.tools.position_settings import NEGATE, axis_signs
from exitwave.errors import InputError
from exitwave.frames import ChangedFrames, Frames
from exitwave.scan import Result, Scan

POSITIONS = ("ppX", "ppY")


def detect(file: Path) -> Evidence | None:
    """Accept a file of a pair: one holds /dp, the other /ppX and /ppY."""
    frames, parameters = pair(file)
    if file not in (frames, parameters) or "dp" not in existing_entries(frames, ("dp",)):
        return None
    existing = existing_entries(parameters, POSITIONS)
    return Evidence(Strength.MARK, f"/ppX and /ppY in {parameters.name}") if len(existing) == 2 else None


def read(file: Path, settings: Settings) -> Scan | Result:
    """Read a pair; ``file`` is either of its files."""
    frames, parameters = existing_pair(file)
    with open_arrays(frames) as patterns, open_arrays(parameters) as array_file:
        stack = _transposed_if_set(patterns.frames("dp"), settings)
        positions = np.column_stack([_list(array_file, name) for name in POSITIONS]) * axis_signs(settings)
        wavelength, pixel = array_file.number("lambda"), array_file.number("dx")
        found = Contents(stack, positions, POSITIONS[0], energy=energy_of_wavelength(wavelength))
        if pixel is not None and pixel > 0 and np.isfinite(pixel):
            found.object_pixel = (pixel, pixel)
            if "pixel_size" in settings and wavelength:
                found.distance = pixel * stack.shape[2] * length_of(settings, "pixel_size", None, "") / wavelength
        return build(found, ExtraEntries(array_file), settings)


def _list(array_file: ArrayFile, name: str) -> np.ndarray:
    values = array_file.array(name)
    if values is None or values.dtype.kind not in "iuf" or values.squeeze().ndim != 1:
        where, remedy = array_file.where(name), "Expected a list of numbers"
        raise InputError(NO_POSITIONS, where=where, found=describe(values), remedy=remedy)
    return values.squeeze().astype(np.float64)


def _transposed_if_set(frames: Frames, settings: Settings) -> Frames:
    """Return frames with swapped axes if the user sets ``transpose=yes``, else the frames."""
    choice = settings.get("transpose", "no")
    if choice not in ("yes", "no"):
        raise InputError("Unknown value of transpose", found=repr(choice), remedy="Use transpose=yes or no")
    if choice == "no":
        return frames
    return ChangedFrames(frames, lambda counts: counts.swapaxes(-2, -1), frames.shape[:0:-1], frames.dtype)


DIALECT = Dialect(
    name="foldslice",
    order=210,
    title="Pair NAME_dp.hdf5, NAME_para.hdf5 of PtychoShelves (fold_slice)",
    conventions=Conventions(
        energy="lambda, m",
        positions="ppX, ppY (N,), sign set by the user, m",
        mask="-",
        frames="dp (N, y, x), if written by MATLAB (N, x, y), intensity, centred",
    ),
    detect=detect,
    read=read,
    settings={"transpose": "yes or no"} | NEGATE,
    suffix="_dp.hdf5",
)
