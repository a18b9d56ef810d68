"""Read the mask of bad pixels, of any type and polarity that files use, as 0 good and 1 bad."""

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.hdf import Source, whole
from exitwave.errors import InputError

HAS_SIGNAL = 0x1000
"""CXI's bit for a pixel with signal, which is not a defect."""
NEXUS_BAD = 0xFFFF
"""Bits of a NeXus pixel_mask that mark a pixel as unusable."""
INSIDE = 0x10000
"""CXI's bit for a pixel of an image that lies inside the support."""
USER_BIT = 0x100
"""NeXus bit 8: masked by the user."""
GAP, DEAD, UNDER, OVER, NOISY = 0x1, 0x2, 0x4, 0x8, 0x10
"""NeXus bits for the reasons why a pixel is bad."""
BY_CXI_BIT = {0x200: GAP, 0x8: DEAD, 0x4: OVER, 0x400: NOISY}
"""NeXus bits by the corresponding bits of CXI; all other bits of CXI become `USER_BIT`."""
BY_NEXUS_BIT = {nexus: cxi for cxi, nexus in BY_CXI_BIT.items()} | {UNDER: 0x8}
"""Bits of CXI by the corresponding NeXus bits."""
UNTRUSTED = 0x80
"""CXI's bit for a pixel that is bad for any other reason."""
CHOICES = ("inverted", "as-is", "none")
"""Values of the override ``mask``."""


def read_mask(source: Source, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return the mask: 0 good, 1 bad; if it is missing, all pixels are good.

    Its shape is (ny, nx), or (npos, ny, nx) if the masks of the frames differ.

    Raises
    ------
    InputError
        If its shape does not fit the patterns of ``shape``, or it marks more than half of the pixels as bad.
    """
    choice = source.overrides.get("mask")
    if choice == "none":
        return np.zeros(shape[1:], np.uint8)
    key = next((key for key in ("frame_mask", "mask") if source.dataset(key) is not None), "pixel_mask")
    dataset = source.dataset(key)
    if dataset is None:
        source.remark("I301", "mask", "no mask", "0 good, 1 bad", "All pixels are treated as good")
        return np.zeros(shape[1:], np.uint8)
    bad = _bad(source, key, dataset, shape)
    if choice == "inverted":
        bad = ~bad
    if check_share(bad, source.where(key), kept=choice is not None):
        source.remark(
            "W209", key, f"{bad.mean():.0%} bad pixels", "at most 50 %", "The mask was kept, as set by the user"
        )
    return bad.astype(np.uint8)


def _bad(source: Source, key: str, dataset: h5py.Dataset, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    if dataset.shape not in (shape, shape[1:]) or dataset.dtype.kind not in "biuf":
        raise InputError(
            "The mask does not fit the patterns",
            where=source.where(key),
            found=f"{dataset.dtype} of shape {dataset.shape}, patterns of shape {shape[1:]}",
            remedy="Write a mask with the shape of a pattern, or ignore it with --set mask=none",
        )
    bits = NEXUS_BAD if key == "pixel_mask" else ~HAS_SIGNAL
    if dataset.ndim == 3:
        if key != "frame_mask":
            source.remark("I302", key, "a mask for each frame", "one mask", "Each frame keeps its own mask")
        every = np.array([_defects(frame, bits) for frame in dataset])
        return every if (every != every[0]).any() else every[0]
    values = whole(dataset)
    if key == "pixel_mask" or (values.dtype.kind != "b" and not np.isin(values, (0, 1)).all()):
        source.remark(
            "I302", key, f"values up to {values.max()}", "0 good, 1 bad", "All values but 0 and 0x1000 are bad"
        )
    return _defects(values, bits)


def _defects(values: NDArray[Any], bits: int) -> NDArray[np.bool_]:
    if values.dtype.kind == "f":
        return (values != 0) & (values != HAS_SIGNAL)
    return (values.astype(np.int64) & bits) != 0


def check_share(bad: NDArray[np.bool_], where: str, kept: bool) -> bool:
    """Return whether a mask marks more than half of the pixels as bad.

    Raises
    ------
    InputError
        If it does and ``kept`` (the user's decision to keep it) is false, or if it leaves no good pixel.
    """
    share = float(bad.mean())
    if share == 1:
        raise InputError("The mask leaves no good pixel", where=where, remedy="Ignore it with --set mask=none")
    if share > 0.5 and not kept:
        raise InputError(
            "The mask marks most pixels as bad",
            where=where,
            found=f"{share:.0%} of the pixels are not 0",
            remedy="0 is good and 1 is bad: --set mask=inverted inverts the mask, --set mask=as-is keeps it",
        )
    return share > 0.5


def reasons(source: Source, shape: tuple[int, int]) -> NDArray[np.uint32] | None:
    """Return the reasons why pixels are bad in NeXus bits, if the mask of the file has CXI's bits, else None."""
    dataset = source.dataset("mask")
    if dataset is None or dataset.shape != shape or dataset.dtype.kind not in "iu":
        return None
    bits = whole(dataset).astype(np.int64)
    if np.isin(bits, (0, 1)).all():
        return None
    nexus = _translated(bits, BY_CXI_BIT)
    others = bits & ~(HAS_SIGNAL | sum(BY_CXI_BIT)) != 0
    return (nexus | others * USER_BIT).astype(np.uint32)


def cxi_bits(bad: NDArray[np.bool_], pixel_mask: NDArray[np.uint32] | None) -> NDArray[np.uint32]:
    """Return a mask in CXI's bits, 0 for good pixels, from the bad pixels and the reasons in NeXus bits."""
    bits = (
        np.zeros(bad.shape, np.int64) if pixel_mask is None else _translated(pixel_mask.astype(np.int64), BY_NEXUS_BIT)
    )
    return np.where(bad, np.where(bits == 0, UNTRUSTED, bits), 0).astype(np.uint32)


def _translated(bits: NDArray[np.int64], table: dict[int, int]) -> NDArray[np.int64]:
    return np.bitwise_or.reduce([np.where(bits & one != 0, other, 0) for one, other in table.items()])
