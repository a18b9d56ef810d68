"""The product of ptychodus and pty-chi, read: by the names of an HDF5 product, wherever the entries lie."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.dialects.tools.array_file import ArrayFile, NpzArrays
from exitwave.dialects.tools.contents import Contents, first_given
from exitwave.dialects.tools.product import POSITIONS, TRANSLATION, archive_name, half_pixel_offset, unnormalised_scale
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.frames import Frames
from exitwave.scan import NearField


def read_product(
    array_file: ArrayFile,
    frames: Frames,
    given: NDArray[Any] | None = None,
    result: bool | None = None,
    names: Mapping[str, str] | None = None,
) -> Contents:
    """Return what a product says about frames.

    Parameters
    ----------
    store : Store
        The product.
    frames : Frames
        The patterns that it is about.
    given : ndarray of int, shape (npos,), optional
        Index of each pattern, which pairs it with a position; else they are in the same order.
    result : bool, optional
        Whether the object is a result; None: what the file itself tells.
    names : mapping of str to str, optional
        Where the entries lie by their names in an HDF5 product, if elsewhere; those that are not named are missing.

    Raises
    ------
    InputError
        If positions or object are missing or of another form.
    """
    get = ProductEntries(array_file, names)
    energy = first_given(get.number("@photon_energy_eV"), get.number("@probe_energy_eV"))
    image, remarks = get.array("object"), list[Finding]()
    pixel = get.number("object@pixel_height_m"), get.number("object@pixel_width_m")
    probe = _own_probe(get.array("probe"), frames, remarks)
    losses = first_given(get.array("loss_values"), get.array("costs"))
    far = get.number("@far_field")
    found = Contents(
        frames,
        _paired(get, _columns(get), given, len(frames)),
        get.place(POSITIONS[0]) or get.place(TRANSLATION),
        energy=energy,
        distance=get.number("@detector_object_distance_m") or None,
        object_pixel=None if None in pixel else pixel,  # type: ignore[arg-type]
        probe=probe,
        errors=losses if losses is not None and losses.dtype.kind == "f" else None,
        near=NearField() if far == 0 else None,
        name=get.text("@name"),
        program="ptychodus",
        remarks=remarks,
    )
    if image is not None and (_is_result(image, losses) if result is None else result):
        _take_object(found, get, image)
    return found


class ProductEntries:
    """Entries of a product by their names in an HDF5 product, wherever they lie.

    Parameters
    ----------
    store : Store
        The file.
    names : mapping of str to str, optional
        Where they lie; None: in a product, HDF5 or NPZ.
    """

    def __init__(self, array_file: ArrayFile, names: Mapping[str, str] | None = None) -> None:
        self.array_file, self.names = array_file, names

    def place(self, name: str) -> str:
        """Return what an entry is called in the file, or an empty string."""
        if self.names is not None:
            return self.names.get(name, "")
        return archive_name(name) if isinstance(self.array_file, NpzArrays) else name

    def array(self, name: str) -> NDArray[Any] | None:
        """Return an array, or None where there is none."""
        place = self.place(name)
        return self.array_file.array(place) if place else None

    def number(self, name: str) -> float | None:
        """Return a number, or None where there is none."""
        place = self.place(name)
        return self.array_file.number(place) if place else None

    def text(self, name: str) -> str:
        """Return text, or an empty string where there is none."""
        place = self.place(name)
        return self.array_file.text(place) if place else ""


def _columns(get: ProductEntries) -> NDArray[Any]:
    together = get.array(TRANSLATION)
    columns = together is not None and together.ndim == 2 and together.shape[1] >= 2
    x, y = together.T[:2] if columns and together is not None else (get.array(name) for name in POSITIONS)
    if x is None or y is None or x.ndim != 1 or x.shape != y.shape or {x.dtype.kind, y.dtype.kind} - set("iuf"):
        found = "nothing" if x is None or y is None else f"{x.dtype} {x.shape} and {y.dtype} {y.shape}"
        remedy = "Expected two lists of numbers of one length"
        where = get.array_file.where(get.place(POSITIONS[0]) or get.place(TRANSLATION))
        raise InputError("These are not positions", where=where, found=found, remedy=remedy)
    return np.stack([x, y], axis=1).astype(np.float64)


def _paired(get: ProductEntries, positions: NDArray[Any], given: NDArray[Any] | None, count: int) -> NDArray[Any]:
    """Return the position of each frame: that of the same index, NaN where there is none."""
    indexes = get.array("probe_position_indexes")
    if given is None or indexes is None:
        return positions
    fit = indexes.shape == (len(positions),) and given.shape == (count,)
    if not fit or {indexes.dtype.kind, given.dtype.kind} - set("iu"):
        found = f"{len(positions)} positions with {indexes.shape}, {count} frames with {given.shape}"
        where = get.array_file.where(get.place("probe_position_indexes"))
        raise InputError(
            "Indexes do not fit what they count",
            where=where,
            found=found,
            remedy="Write a whole number for each position, and one for each frame",
        )
    place = dict(zip(indexes.tolist(), range(len(indexes)), strict=True))
    rows = np.array([place.get(index, -1) for index in given.tolist()], dtype=np.intp)
    return np.where(rows[:, None] < 0, np.nan, positions[rows])


def _own_probe(stored: NDArray[Any] | None, frames: Frames, remarks: list[Finding]) -> NDArray[Any] | None:
    """Return the modes (modes, ny, nx) of a probe (variations, modes, ny, nx); ones mean that there is none."""
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
        remarks.append(finding("W207", "probe", f"{len(stored) - 1} variations", "one probe", "They were left aside"))
    return modes * np.float32(unnormalised_scale(frames.shape[1:]))


def _is_result(image: NDArray[Any], losses: NDArray[Any] | None) -> bool:
    """Say whether an object is a result: one has losses; without any word of them, it is not the same everywhere."""
    return bool(image.size and (image != image.ravel()[0]).any()) if losses is None else bool(losses.size)


def _take_object(found: Contents, get: ProductEntries, image: NDArray[Any]) -> None:
    """Note the object, and where its pixels lie."""
    found.object = image[0] if image.ndim == 3 and len(image) == 1 else image
    centre = get.number("object@center_y_m"), get.number("object@center_x_m")
    if found.object_pixel is None or image.ndim < 2:
        return
    axes = []
    for axis, middle in enumerate(centre):
        n, step = image.shape[axis - 2], found.object_pixel[axis]
        start = 0.0 if middle is None else middle - half_pixel_offset(found.frames.shape[1 + axis]) * step
        axes.append(start + (np.arange(n) - (n - 1) / 2) * step)
    if None not in centre:
        found.y, found.x = axes
    spacing = get.array("object_layer_spacing_m")
    if image.ndim == 3 and len(image) > 1 and spacing is not None and spacing.shape == (len(image) - 1,):
        found.z = np.concatenate([[0.0], np.cumsum(spacing)])
