"""``exitwave compare``: how far two results agree, or a result and the truth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Json
from exitwave.errors import InputError

if TYPE_CHECKING:
    from exitwave.scan import Result, Truth


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="A result.")],
    b: Annotated[
        Path | None,
        typer.Argument(metavar="[B]", help="Another result, or a simulated scan; A's own truth if not given."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two results, or a result and the truth.

    Shift, scale and phase ramp, which no pattern can tell, are removed first.
    """
    import exitwave
    from exitwave.cli.console import Console, print_facts
    from exitwave.units import show

    found = exitwave.compare(open_result(a), None if b is None else _reference(b))
    facts = {
        "difference of the objects": f"{found.error:.2%} of the contrast, over {found.pixels} pixels",
        "resolution (half period)": show(found.frc.resolution, "m", 3),
    }
    if found.probe_error is not None:
        facts["difference of the probes"] = f"{found.probe_error:.2%}"
    if found.position_rms is not None:
        facts["difference of the positions"] = f"{show(found.position_rms, 'm', 3)} (root mean square)"
    if found.slices is not None:
        rows = ["  ".join(f"{value:.2f}" for value in row) for row in found.slices]
        facts["correlation of the slices"] = " | ".join(rows)
    out = Console(stderr=as_json)
    print_facts(out, facts)
    out.print(found.sentence())
    if as_json:
        print_json({"a": a, "b": b, **found.as_dict()})


def open_result(path: Path) -> "Result":
    """Open a file that has to hold a result.

    Raises
    ------
    InputError
        If it holds only a scan.
    """
    import exitwave
    from exitwave.scan import Result

    data = exitwave.open(path)
    if not isinstance(data, Result):
        raise InputError(
            "This is a scan without a reconstruction", where=path, remedy=f"Run exitwave reconstruct {path} first"
        )
    return data


def _reference(path: Path) -> "Result | Truth":
    import exitwave
    from exitwave.scan import Result

    data = exitwave.open(path)
    if isinstance(data, Result):
        return data
    if data.truth is None:
        raise InputError(
            "Nothing to compare with", where=path, found="a scan without a truth", remedy="Give a result as B"
        )
    return data.truth
