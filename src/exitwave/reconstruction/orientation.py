"""The orientation of the detector: how the axes of the frames lie relative to those of the positions.

A file may confuse these axes. There are eight ways to assign the axes of the frames to those of the positions. Two of
them that differ by a rotation of 180 degrees explain the frames equally well: |F[psi(-r)*]| = |F[psi(r)]|, so that the
wave psi = P O, rotated by 180 degrees and with its phase reversed, gives the same frames at reversed positions. So
there are four pairs to compare. For one of each pair a short reconstruction of frames in the middle of the scan,
including a search of the defocus, gives an error. It is larger with wrong axes, because neighbouring frames then
contradict each other.
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
CLEARLY_BETTER = 0.85
"""Another orientation is better than that of the file if its error is below this fraction of the file's."""
FRAMES = 49
"""Number of frames around the middle of the scan that are reconstructed."""
VIEWS = (
    View(),
    View(flip_columns=True),
    View(transpose=True),
    View(transpose=True, flip_columns=True),
)
"""One of each pair of equivalent orientations."""


@dataclass(frozen=True)
class Orientation:
    """One orientation of the detector and how well it explains the frames."""

    view: View
    """Change of the frames. The equivalent orientation is rotated by another 180 degrees."""
    error: float
    """Error metric of a short reconstruction of some frames."""
    object: NDArray[np.complex64]
    """Object of that reconstruction, shape (ny, nx)."""

    @property
    def name(self) -> str:
        """Description of the change of the frames."""
        changes = {
            "transposed": self.view.transpose,
            "rows flipped": self.view.flip_rows,
            "columns flipped": self.view.flip_columns,
        }
        return " and ".join(name for name, applied in changes.items() if applied) or AS_IS


def rank_orientations(
    scan: Scan, *, threads: int | None = None, announce: Callable[[str], None] | None = None
) -> list[Orientation]:
    """Rank the orientations of the detector by the errors of short reconstructions.

    Parameters
    ----------
    scan : Scan
        A far-field scan; at most `FRAMES` of its frames, around the middle, are read.
    threads : int, optional
        Number of threads; by default one for each core.
    announce : callable, optional
        Called with a message before the work.

    Returns
    -------
    list of Orientation
        One of each pair of equivalent orientations, the best first.
    """
    if announce:
        announce("trying the orientations of the detector")
    part = central_frames(scan, FRAMES)
    recipe = Recipe(holdout=0, threads=threads)
    found = [Orientation(view, *reconstruct_shortly(apply_view(part, view), recipe)) for view in VIEWS]
    return sorted(found, key=lambda each: each.error)


def central_frames(scan: Scan, count: int) -> Scan:
    """Return the frames nearest to the middle of a scan, in memory, as a scan."""
    used = scan.used_frames
    chosen = np.sort(used[innermost(scan.positions[used, :2], count)])
    mask = scan.detector.mask
    detector = replace(scan.detector, mask=mask[chosen]) if mask.ndim == 3 else scan.detector
    patterns = np.stack(list(scan.patterns.pick(chosen)))
    return replace(
        scan, patterns=Frames(patterns), positions=scan.positions[chosen], detector=detector, left_out={}, truth=None
    )


def reconstruct_shortly(scan: Scan, recipe: Recipe) -> tuple[float, NDArray[np.complex64]]:
    """Return the error at the best defocus, and the object there."""
    grid = object_grid(scan.positions, scan.patterns.shape[1:], scan.object_pixel)
    problem = load_problem(scan, scan.positions, grid, holdout=0, seed=0)
    found = search_defocus(scan, problem, recipe, steps=5, refinements=0)
    return found.error, found.object
