"""Which way round the detector is: positions and frames have axes of their own, and a file may confuse them.

There are eight ways to put the axes of the frames on those of the positions. Two of them that differ by half a turn
explain the frames equally well: |F[psi(-r)*]| = |F[psi(r)]|, so that the wave psi = P O turned by half a turn, with its
phase reversed, makes the same frames from reversed positions. There are four pairs of such twins to tell apart. In each
a short reconstruction of the frames in the middle, with the defocus searched, shows how well object and beam explain
them; the wrong axes leave neighbours that contradict each other.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.recipe import Recipe
from exitwave.frames import Frames, View
from exitwave.positions import innermost, object_grid
from exitwave.preparation.view import apply_view
from exitwave.reconstruction.loading import load_problem
from exitwave.reconstruction.starting_probe import search_defocus
from exitwave.scan import Scan

AS_IS = "as in the file"
CLEAR = 0.85
"""Another orientation is better than that of the file where it leaves less than this part of its error."""
FRAMES = 49
"""Frames around the middle of the scan that are reconstructed."""
TURNS = (
    View(),
    View(flip_columns=True),
    View(transpose=True),
    View(transpose=True, flip_columns=True),
)
"""One of each pair of twins."""


@dataclass(frozen=True)
class Orientation:
    """How well the frames are explained when the detector is looked at in one way."""

    view: View
    """How the frames are turned; its twin is turned by half a turn more."""
    error: float
    """Error metric of a short reconstruction of some frames."""
    object: NDArray[np.complex64]
    """Object of that reconstruction, shape (ny, nx)."""

    @property
    def words(self) -> str:
        """What is done to the frames."""
        done = {
            "rows and columns exchanged": self.view.transpose,
            "rows reversed": self.view.flip_rows,
            "columns reversed": self.view.flip_columns,
        }
        return " and ".join(each for each, is_done in done.items() if is_done) or AS_IS


def rank_orientations(
    scan: Scan, *, threads: int | None = None, announce: Callable[[str], None] | None = None
) -> list[Orientation]:
    """Rank the orientations of the detector by how well the frames in the middle of the scan can be explained.

    Parameters
    ----------
    scan : Scan
        A far-field scan; at most `FRAMES` of its frames are read.
    threads : int, optional
        Threads; one for each core where not given.
    announce : callable, optional
        Called with a sentence before the work.

    Returns
    -------
    list of Orientation
        One of each pair of twins, the best first.
    """
    if announce:
        announce("trying the orientations of the detector")
    part = middle(scan, FRAMES)
    square = part.patterns.shape[1] == part.patterns.shape[2] and len(set(part.detector.pixel_size)) == 1
    turns = TURNS if square else TURNS[:2]
    recipe = Recipe(holdout=0, threads=threads)
    found = [Orientation(turn, *_tried(apply_view(part, turn), recipe)) for turn in turns]
    return sorted(found, key=lambda each: each.error)


def middle(scan: Scan, frames: int) -> Scan:
    """Return the frames nearest to the middle of a scan, read into memory, as a scan of their own."""
    usable = scan.used_frames
    chosen = np.sort(usable[innermost(scan.positions[usable, :2], frames)])
    masks = scan.detector.mask
    detector = replace(scan.detector, mask=masks[chosen]) if masks.ndim == 3 else scan.detector
    stack = np.stack(list(scan.patterns.pick(chosen)))
    return replace(
        scan, patterns=Frames(stack), positions=scan.positions[chosen], detector=detector, left_out={}, truth=None
    )


def _tried(scan: Scan, recipe: Recipe) -> tuple[float, NDArray[np.complex64]]:
    """Return the error that is left at the best defocus, and the object there."""
    grid = object_grid(scan.positions, scan.patterns.shape[1:], scan.object_pixel)
    problem = load_problem(scan, scan.positions, grid, holdout=0, seed=0)
    found = search_defocus(scan, problem, recipe, steps=5, rounds=0)
    return found.error, found.object
