"""``exitwave compare``: the difference between two results, or between a result and the truth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import ChangedInput, Json
from exitwave.cli.register import verb
from exitwave.errors import InputError

if TYPE_CHECKING:
    from exitwave.analysis.compare import Comparison
    from exitwave.scan import Result, Scan, Truth


@verb(order=110, opens_files=True)
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="A result.")],
    b: Annotated[
        Path | None,
        typer.Argument(metavar="[B]", help="Another result, or a simulated scan; the truth in A if not given."),
    ] = None,
    changed_input: ChangedInput = False,
    as_json: Json = False,
) -> None:
    """Compare two results, or a result and the truth.

    Shift, scale and phase ramp, which the patterns do not determine, are removed first.
    """
    import exitwave
    from exitwave.cli.console import Console, print_facts

    comparison = exitwave.compare(_open_result(a, changed_input), None if b is None else _reference(b, changed_input))
    out = Console(stderr=as_json)
    print_facts(out, _facts(comparison))
    out.print(comparison.sentence())
    if as_json:
        print_json({"a": a, "b": b, **comparison.as_dict()})


def _facts(comparison: "Comparison") -> dict[str, str]:
    """Return the numbers of a comparison as text, by name."""
    from exitwave.units import show

    facts = {
        "difference of the objects": f"{comparison.error:.2%} of the contrast, over {comparison.pixels} pixels",
        "resolution (half period)": show(comparison.frc.resolution, "m", 3),
    }
    coarse = show(comparison.coarse_period, "m", 3)
    facts["phase error"] = f"{comparison.phase_error:.2g} rad (root mean square, of periods above {coarse})"
    if comparison.probe_error is not None:
        facts["difference of the probes"] = f"{comparison.probe_error:.2%}"
    if comparison.position_rms is not None:
        facts["difference of the positions"] = f"{show(comparison.position_rms, 'm', 3)} (root mean square)"
    if comparison.slices is not None:
        rows = ["  ".join(f"{value:.2f}" for value in row) for row in comparison.slices]
        facts["correlation of the slices"] = " | ".join(rows)
    return facts


def _open(path: Path, changed_input: bool) -> "Scan | Result":
    """Open a scan or a result; print the finding on an input that has changed, or refuse it."""
    import exitwave
    from exitwave.cli.console import Console, print_findings
    from exitwave.cxi.changed import CHANGED, require_unchanged_input
    from exitwave.scan import scan_in

    data = exitwave.open(path)
    require_unchanged_input(data, path, changed_input)
    print_findings(Console(stderr=True), (each for each in scan_in(data).findings if each.code == CHANGED))
    return data


def _open_result(path: Path, changed_input: bool) -> "Result":
    """Open a file that must contain a result.

    Raises
    ------
    InputError
        If it contains only a scan.
    """
    from exitwave.scan import Result

    data = _open(path, changed_input)
    if not isinstance(data, Result):
        remedy = f"Run exitwave reconstruct {path} first"
        raise InputError("The file contains a scan without a reconstruction", where=path, remedy=remedy)
    return data


def _reference(path: Path, changed_input: bool) -> "Result | Truth":
    """Open a result, or the truth of a simulated scan."""
    from exitwave.scan import Result

    data = _open(path, changed_input)
    if isinstance(data, Result):
        return data
    if data.truth is None:
        found, remedy = "a scan that is not simulated", "Give a result as B"
        raise InputError("The file contains nothing to compare with", where=path, found=found, remedy=remedy)
    return data.truth
