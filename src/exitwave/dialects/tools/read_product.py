"""Read a product of ptychodus or pty-chi, by the names of an HDF5 product, from HDF5, NPZ or CXI."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.dialects.tools.array_checks import NO_POSITIONS, without_single_slice
from exitwave.dialects.tools.array_file import ArrayFile, NpzArrays
from exitwave.dialects.tools.contents import Contents, first_given
from exitwave.dialects.tools.extra_entries import ExtraEntries
from exitwave.dialects.tools.product import POSITIONS, TRANSLATION, archive_name, half_pixel_offset, unnormalised_scale
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.frames import Frames
from exitwave.scan import NearField


def read_product(
    extra: ExtraEntries, frames: Frames, indexes: NDArray[Any] | None = None, names: Mapping[str, str] | None = None
) -> Contents:
    """Return the contents of a product.

    Parameters
    ----------
    extra : ExtraEntries
        The file of the product, with the entries that Exitwave may have added.
    frames : Frames
        The patterns of the scan.
    indexes : ndarray of int, shape (npos,), optional
        Index of each frame; a frame and a position with the same index belong together. Without it frames and
        positions are in the same order.
    names : mapping of str to str, optional
        Paths of the entries by their names in an HDF5 product, where they differ; entries without a path are missing.

    Raises
    ------
    InputError
        If positions or object are missing or have the wrong type or shape.
    """
    entries = ProductEntries(extra.array_file, names)
    energy = first_given(entries.number("@photon_energy_eV"), entries.number("@probe_energy_eV"))
    image, remarks = entries.array("object"), list[Finding]()
    probe = _probe_modes(entries.array("probe"), frames, remarks)
    losses = first_given(entries.array("loss_values"), entries.array("costs"))
    far_field = entries.number("@far_field")
    found = Contents(
        frames,
        _positions_of_frames(entries, _stored_positions(entries), indexes, len(frames)),
        entries.path(POSITIONS[0]) or entries.path(TRANSLATION),
        energy=energy,
        distance=entries.number("@detector_object_distance_m") or None,
        object_pixel=two_numbers(entries, ("object@pixel_height_m", "object@pixel_width_m")),
        probe=probe,
        errors=losses if losses is not None and losses.dtype.kind == "f" else None,
        near=NearField() if far_field == 0 else None,
        name=entries.text("@name"),
        program="ptychodus",
        remarks=remarks,
    )
    noted = extra.notes.get("result")
    if image is not None and (noted if isinstance(noted, bool) else _is_result(image, losses)):
        _set_object(found, entries, image)
    return found


class ProductEntries:
    """The entries of a product by their names in an HDF5 product, wherever they are stored.

    Parameters
    ----------
    array_file : ArrayFile
        The file.
    names : mapping of str to str, optional
        Paths of the entries; None: those of a product in HDF5 or NPZ.
    """

    def __init__(self, array_file: ArrayFile, names: Mapping[str, str] | None = None) -> None:
        self.array_file, self.names = array_file, names

    def path(self, name: str) -> str:
        """Return the path of an entry in the file, or an empty string."""
        if self.names is not None:
            return self.names.get(name, "")
        return archive_name(name) if isinstance(self.array_file, NpzArrays) else name

    def array(self, name: str) -> NDArray[Any] | None:
        """Return an array, or None if it is missing."""
        path = self.path(name)
        return self.array_file.array(path) if path else None

    def number(self, name: str) -> float | None:
        """Return a number, or None if it is missing."""
        path = self.path(name)
        return self.array_file.number(path) if path else None

    def text(self, name: str) -> str:
        """Return text, or an empty string if it is missing."""
        path = self.path(name)
        return self.array_file.text(path) if path else ""


def two_numbers(source: ArrayFile | ProductEntries, names: tuple[str, str]) -> tuple[float, float] | None:
    """Return two numbers, such as the height and width of a pixel, or None if one of them is missing."""
    height, width = (source.number(name) for name in names)
    return None if height is None or width is None else (height, width)


def _stored_positions(entries: ProductEntries) -> NDArray[Any]:
    """Return x and y of the positions, shape (N, 2), in metres."""
    columns = entries.array(TRANSLATION)
    if columns is not None and columns.ndim == 2 and columns.shape[1] >= 2:
        x, y = columns.T[:2]
    else:
        x, y = (entries.array(name) for name in POSITIONS)
    if x is None or y is None or x.ndim != 1 or x.shape != y.shape or {x.dtype.kind, y.dtype.kind} - set("iuf"):
        found = "nothing" if x is None or y is None else f"{x.dtype} {x.shape} and {y.dtype} {y.shape}"
        remedy = "Expected two lists of numbers of the same length"
        where = entries.array_file.where(entries.path(POSITIONS[0]) or entries.path(TRANSLATION))
        raise InputError(NO_POSITIONS, where=where, found=found, remedy=remedy)
    return np.stack([x, y], axis=1).astype(np.float64)


def _positions_of_frames(
    entries: ProductEntries, positions: NDArray[Any], frame_indexes: NDArray[Any] | None, count: int
) -> NDArray[Any]:
    """Return the position with the index of each frame, shape (count, 2); NaN if there is none."""
    indexes = entries.array("probe_position_indexes")
    if frame_indexes is None or indexes is None:
        return positions
    fit = indexes.shape == (len(positions),) and frame_indexes.shape == (count,)
    if not fit or {indexes.dtype.kind, frame_indexes.dtype.kind} - set("iu"):
        raise InputError(
            "The indexes do not match the positions or the frames",
            where=entries.array_file.where(entries.path("probe_position_indexes")),
            found=f"indexes of shape {indexes.shape} for {len(positions)} positions, "
            f"{frame_indexes.shape} for {count} frames",
            remedy="Expected one integer for each position and one for each frame",
        )
    row_of = dict(zip(indexes.tolist(), range(len(indexes)), strict=True))
    rows = np.array([row_of.get(index, -1) for index in frame_indexes.tolist()], dtype=np.intp)
    return np.where(rows[:, None] < 0, np.nan, positions[rows])


def _probe_modes(stored: NDArray[Any] | None, frames: Frames, remarks: list[Finding]) -> NDArray[Any] | None:
    """Return the probe modes, shape (modes, ny, nx), of a probe (OPR modes, modes, ny, nx); None if it is all ones."""
    if (
        stored is None
        or stored.ndim not in (2, 3, 4)
        or stored.dtype.kind != "c"
        or not stored.size
        or (stored == 1).all()
    ):
        return None
    modes = stored[0] if stored.ndim == 4 else stored.reshape(-1, *stored.shape[-2:])
    if stored.ndim == 4 and len(stored) > 1:
        opr_modes = f"{len(stored) - 1} OPR modes"
        remarks.append(finding("W207", "probe", opr_modes, "no OPR modes", "They were not used"))
    return modes * np.float32(unnormalised_scale(frames.shape[1:]))


def _is_result(image: NDArray[Any], losses: NDArray[Any] | None) -> bool:
    """Return whether an object is a result: losses are stored, or, without that entry, the object is not constant."""
    return bool(image.size and (image != image.ravel()[0]).any()) if losses is None else bool(losses.size)


def _set_object(found: Contents, entries: ProductEntries, image: NDArray[Any]) -> None:
    """Set the object, the coordinates of its pixels and the positions of its slices."""
    found.object = without_single_slice(image)
    centre = entries.number("object@center_y_m"), entries.number("object@center_x_m")
    if found.object_pixel is None or image.ndim < 2:
        return
    axes = []
    for axis, middle in enumerate(centre):
        n, step = image.shape[axis - 2], found.object_pixel[axis]
        start = 0.0 if middle is None else middle - half_pixel_offset(found.frames.shape[1 + axis]) * step
        axes.append(start + (np.arange(n) - (n - 1) / 2) * step)
    if None not in centre:
        found.y, found.x = axes
    spacing = entries.array("object_layer_spacing_m")
    if image.ndim == 3 and len(image) > 1 and spacing is not None and spacing.shape == (len(image) - 1,):
        found.z = np.concatenate([[0.0], np.cumsum(spacing)])
