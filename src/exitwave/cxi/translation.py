"""Read the positions: their entry in the file, orientation, unit and signs."""

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.hdf import Source, candidates, known_factor, units_of, whole
from exitwave.cxi.scale import replace_missing_positions
from exitwave.errors import InputError

ENTRIES = ("positions", "data_positions", "detector_positions")
"""Entries that may hold the positions, in the order in which they are tried."""


def read_positions(source: Source, npos: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the centre of the probe on the sample in metres, shape (npos, 3), and which frames have none, (npos,).

    The shapes (N, 3), (N, 2), (3, N) and (2, N), any unit of length in ``@units`` and the signs of ``basis_vectors``
    are accepted. Positions that are not finite are interpolated between their neighbours.

    Raises
    ------
    InputError
        If there are none, their number differs from that of the frames, their unit is unknown, or more than the share
        `exitwave.cxi.scale.MISSING` of them is not finite.
    """
    key, dataset = _find(source)
    if dataset.dtype.kind not in "iuf":
        raise InputError(
            "The positions are not numbers",
            where=source.where(key),
            found=dataset.dtype,
            remedy="Write numbers of shape (npos, 3), in metres",
        )
    stored = _as_columns(source, key, dataset, npos)
    unit = source.overrides.get("positions") or units_of(dataset, "positions") or "m"
    scale = known_factor(source, key, unit, "length")
    if "positions" not in source.overrides and scale != 1:
        source.remark("W204", key, f"positions in {unit}", "metres", "They were converted")
    positions = np.zeros((npos, 3))
    positions[:, : stored.shape[1]] = stored * scale if scale != 1 else stored
    positions, broken = replace_missing_positions(positions, source.remarks, source.where(key))
    return positions * _signs(source), broken


def _find(source: Source) -> tuple[str, h5py.Dataset]:
    for key in ENTRIES:
        dataset = source.dataset(key)
        if dataset is not None:
            return key, dataset
    raise InputError(
        "The file has no positions",
        where=source.where("positions"),
        found=f"two-dimensional datasets: {', '.join(candidates(source.file, 2)) or 'none'}",
        remedy="Write the positions there, shape (npos, 3), in metres",
    )


def _as_columns(source: Source, key: str, dataset: h5py.Dataset, npos: int) -> NDArray[Any]:
    shape = dataset.shape
    rows = source.layout.positions_in_rows and shape in ((2, 2), (3, 3)) and shape[1] == npos
    if len(shape) == 2 and shape[0] == npos and shape[1] in (2, 3) and not rows:
        if shape[1] == 2:
            source.remark("I303", key, "two columns", "three columns x, y, z", "z was set to 0")
        return whole(dataset).astype(np.float64)
    if len(shape) == 2 and shape[1] == npos and shape[0] in (2, 3):
        source.remark("W205", key, f"shape {shape}", f"shape ({npos}, 3)", "The positions were transposed")
        return whole(dataset).astype(np.float64).T
    if len(shape) == 2 and (shape[1] in (2, 3) or shape[0] in (2, 3)):
        count = shape[0] if shape[1] in (2, 3) else shape[1]
        raise InputError(
            "Frames and positions differ in number",
            where=source.where(key),
            found=f"{npos} frames and {count} positions",
            remedy="Remove the frames without a position, or the positions without a frame",
        )
    raise InputError(
        "The positions have the wrong shape",
        where=source.where(key),
        found=f"shape {shape}",
        remedy=f"Write them with shape ({npos}, 3)",
    )


def _signs(source: Source) -> NDArray[np.float64]:
    """Return the signs of the positions (x, y, z) from basis_vectors; the default of CXI, (-y, -x), gives +1 for all.

    The positions of CXI are those of the sample, the negative of those of the probe. In pixels of a detector whose
    rows run along -y and whose columns run along -x, the two signs cancel.
    """
    dataset = source.dataset("basis_vectors")
    if dataset is None:
        return np.ones(3)
    vectors = np.asarray(whole(dataset), dtype=np.float64) if dataset.dtype.kind in "iuf" else np.zeros(0)
    if vectors.shape == (3, 2):
        vectors = vectors.T
    lengths = np.linalg.norm(vectors, axis=1) if vectors.shape == (2, 3) else np.zeros(2)
    if not (lengths > 0).all() or min(abs(vectors[0, 1]) / lengths[0], abs(vectors[1, 0]) / lengths[1]) < 0.999:
        raise InputError(
            "This orientation of the detector is not supported",
            where=source.where("basis_vectors"),
            found=vectors.tolist(),
            remedy="Rotate the patterns so that rows run along y and columns along x, and leave basis_vectors out",
        )
    signs = np.array([-np.sign(vectors[1, 0]), -np.sign(vectors[0, 1]), 1.0])
    if (signs < 0).any():
        axes = " and ".join(axis for axis, sign in zip("xy", signs, strict=False) if sign < 0)
        source.remark(
            "W206",
            "basis_vectors",
            f"{axes} reversed",
            "rows along -y, columns along -x",
            "The positions were mirrored",
        )
    return signs
