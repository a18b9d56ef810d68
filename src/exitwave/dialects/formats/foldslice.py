"""``foldslice``: the pair NAME_dp.hdf5 and NAME_para.hdf5 that PtychoShelves (fold_slice) prepares.

Others read the positions with either sign, and MATLAB writes frames whose axes are swapped for everybody else: so both
are settings. The parameters tell the object pixel; distance and detector pixel follow from each other by it.
"""

from pathlib import Path

import numpy as np

from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength
from exitwave.dialects.formats.ptychi import existing_pair, pair
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
    """Take a file of a pair: /dp in one, /ppX and /ppY in the other."""
    frames, parameters = pair(file)
    if file not in (frames, parameters) or "dp" not in existing_entries(frames, ("dp",)):
        return None
    there = existing_entries(parameters, POSITIONS)
    return Evidence(Strength.MARK, f"/ppX and /ppY in {parameters.name}") if len(there) == 2 else None


def read(file: Path, settings: Settings) -> Scan | Result:
    """Read a pair by the name of one of its files."""
    frames, parameters = existing_pair(file)
    with open_arrays(frames) as patterns, open_arrays(parameters) as array_file:
        stack = _upright(patterns.frames("dp"), settings)
        places = np.column_stack([_list(array_file, name) for name in POSITIONS]) * axis_signs(settings)
        wavelength, pixel = array_file.number("lambda"), array_file.number("dx")
        found = Contents(stack, places, POSITIONS[0], energy=energy_of_wavelength(wavelength))
        if pixel is not None and pixel > 0 and np.isfinite(pixel):
            found.object_pixel = (pixel, pixel)
            if "pixel_size" in settings and wavelength:
                found.distance = pixel * stack.shape[2] * length_of(settings, "pixel_size", None, "") / wavelength
        return build(found, ExtraEntries(array_file), settings)


def _list(array_file: ArrayFile, name: str) -> np.ndarray:
    values = array_file.array(name)
    if values is None or values.dtype.kind not in "iuf" or values.squeeze().ndim != 1:
        found = "nothing" if values is None else f"{values.dtype} of shape {values.shape}"
        raise InputError("These are not positions", where=array_file.where(name), found=found, remedy="Expected a list")
    return values.squeeze().astype(np.float64)


def _upright(frames: Frames, settings: Settings) -> Frames:
    choice = settings.get("transpose", "no")
    if choice not in ("yes", "no"):
        raise InputError("Whether to transpose is not known", found=repr(choice), remedy="Use transpose=yes or no")
    if choice == "no":
        return frames
    return ChangedFrames(frames, lambda counts: counts.swapaxes(-2, -1), frames.shape[:0:-1], frames.dtype)


DIALECT = Dialect(
    name="foldslice",
    order=210,
    title="PtychoShelves (fold_slice): the pair NAME_dp.hdf5, NAME_para.hdf5",
    conventions=Conventions(
        energy="lambda, m",
        positions="ppX, ppY (N,), + or - as you say, m",
        mask="-",
        frames="dp (N, y, x), of MATLAB (N, x, y), intensity, centred",
    ),
    detect=detect,
    read=read,
    settings={"transpose": "yes or no"} | NEGATE,
    suffix="_dp.hdf5",
)
