"""``tiff``: float32 images of amplitude and phase of a result, or of the sum of the frames of a scan.

The first row is that of the largest y, as images are displayed. Otherwise the values are not changed.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.write_frames import BLOCK
from exitwave.dialects.dialect import Conventions, Dialect, Written
from exitwave.errors import InputError
from exitwave.outputs import atomic, check_output
from exitwave.scan import Result, Scan, scan_in

CM = 1e-2
"""Metres in a centimetre, TIFF's unit of length; ImageJ displays it in micrometres."""
LARGEST = 2**32 - 2**20
"""Largest size in bytes of an image in ImageJ's TIFF format."""


def sum_of_frames(scan: Scan) -> NDArray[np.float64]:
    """Return the sum of all usable counts of the frames in use, shape (ny, nx)."""
    total, used = np.zeros(scan.patterns.shape[1:]), np.isin(np.arange(len(scan.patterns)), scan.used_frames)
    for index, block in scan.patterns.blocks(max(1, BLOCK // scan.patterns.bytes_per_frame)):
        counts = block.astype(np.float64)
        usable = scan.detector.usable(counts, index, saturated=True) & used[index, None, None]
        total += np.where(usable, counts, 0).sum(axis=0)
    return total


def write(data: Scan | Result, target: Path, overwrite: bool) -> Written:
    """Write one image: channels amplitude and phase of each slice of a result, or the sum of the frames of a scan."""
    import tifffile

    scan = scan_in(data)
    check_output(target, scan.patterns.path, scan.path, overwrite=overwrite)
    if isinstance(data, Result):
        slices = data.object.reshape(-1, *data.object.shape[-2:])
        image = np.stack([np.abs(slices), np.angle(slices)], axis=1).astype(np.float32)
        pixel, labels = data.object_pixel, ["amplitude", "phase (rad)"]
    else:
        image = sum_of_frames(data)[None, None].astype(np.float32)
        pixel, labels = data.detector.pixel_size, ["sum of the frames"]
    if image.nbytes > LARGEST:
        found = f"{image.nbytes / 1e9:.1f} GB"
        raise InputError(
            "The image is too large for TIFF", where=target, found=found, remedy="Write npz or seed instead"
        )
    metadata: dict[str, Any] = {"axes": "ZCYX", "unit": "cm", "Labels": labels * len(image), "mode": "grayscale"}
    if isinstance(data, Result) and data.z is not None and len(data.z) > 1:
        metadata["spacing"] = float(np.diff(data.z).mean()) / CM
    with atomic(target, overwrite) as partial:
        tifffile.imwrite(
            partial,
            image[..., ::-1, :],
            imagej=True,
            resolution=(CM / pixel[1], CM / pixel[0]),
            resolutionunit="CENTIMETER",
            metadata=metadata,
        )
    return Written((target,))


DIALECT = Dialect(
    name="tiff",
    order=150,
    title="TIFF images: amplitude and phase, or the sum of the frames, float32, with the pixel size",
    conventions=Conventions(
        frames="sum of the frames, first row at the largest y",
        object="amplitude and phase (slice, channel, y, x), first row at the largest y; pixel size in the tags",
    ),
    write=write,
    suffix=".tif",
)
