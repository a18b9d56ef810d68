"""Register of the figures of a scan or result: how each is saved in a folder and how a report shows it.

A figure file of this package ends with a function that is decorated with `register`. It yields a `Plot` for each of its
figures that applies to a scan or result. `plot_all` and the report find it without further changes.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pkgutil import iter_modules
from typing import Literal

from matplotlib.figure import Figure

from exitwave.analysis.compare import Comparison, compare
from exitwave.analysis.finite import with_finite_values
from exitwave.errors import InputError
from exitwave.frames import MissingFrames
from exitwave.scan import Result, Scan, scan_in

Section = Literal["Object", "Probe", "Convergence and resolution", "Positions and coverage", "Patterns"]


@dataclass(frozen=True, eq=False)
class Subject:
    """A scan or result to draw; impossible values of a result are replaced, see `with_finite_values`."""

    data: Scan | Result

    def __post_init__(self) -> None:
        if isinstance(self.data, Result):
            object.__setattr__(self, "data", with_finite_values(self.data))

    @property
    def scan(self) -> Scan:
        """The scan, or the one that the result was made from."""
        return scan_in(self.data)

    @property
    def result(self) -> Result | None:
        """The result; None for a scan."""
        return self.data if isinstance(self.data, Result) else None

    @property
    def has_patterns(self) -> bool:
        """Whether the patterns can be read."""
        return not isinstance(self.scan.patterns, MissingFrames)

    @cached_property
    def comparison(self) -> Comparison | None:
        """Comparison of a result with its truth; None without a truth, or if it has other pixels (cropped frames)."""
        if self.result is None:
            return None
        try:
            return compare(self.result)
        except InputError:
            return None


@dataclass(frozen=True)
class Caption:
    """Place and text of a figure in a report."""

    section: Section
    """Section of the report."""
    alt: str
    """Text in place of the image, for readers who cannot see it."""
    text: str
    """Text below the image."""
    kind: Literal["png", "svg"] = "png"
    """``png`` for images, ``svg`` for curves."""
    wide: bool = False
    """Whether the figure takes the whole width of the page."""


@dataclass(frozen=True)
class Plot:
    """One figure of a scan or result."""

    draw: Callable[[], Figure]
    """Draws the figure."""
    name: str | None = None
    """Stem of its file in the folder of figures; None if it is only in the report."""
    caption: Caption | None = None
    """How the report shows it; None if it is only in the folder."""


Plots = Callable[[Subject], Iterable[Plot]]
_REGISTERED: list[tuple[int, Plots]] = []


def register(*, order: int) -> Callable[[Plots], Plots]:
    """Return a decorator that registers a function from a `Subject` to its plots; a small ``order`` comes first."""

    def add(plots: Plots) -> Plots:
        _REGISTERED.append((order, plots))
        return plots

    return add


def plots_of(subject: Subject) -> list[Plot]:
    """Return all plots that apply to a scan or result, in their order."""
    package = __package__ or ""
    for module in iter_modules(import_module(package).__path__):
        if not module.ispkg:
            import_module(f"{package}.{module.name}")
    return [plot for _, plots in sorted(_REGISTERED, key=lambda entry: entry[0]) for plot in plots(subject)]
