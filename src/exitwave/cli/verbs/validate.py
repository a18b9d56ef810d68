"""``exitwave validate``: check a file against the schema, or against the file format of another program."""

from typing import Annotated

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Input, Json
from exitwave.cli.register import verb
from exitwave.errors import InputError


@verb(order=40, opens_files=True)
def validate(
    path: Input,
    profile: Annotated[
        str, typer.Option(metavar="NAME", help="The file format: seed is the schema; see exitwave formats for others.")
    ] = "seed",
    quick: Annotated[bool, typer.Option("--quick", help="Read only a sample of the frames.")] = False,
    as_json: Json = False,
) -> None:
    """Check a file against the schema or another file format.

    Reads all frames. Prints what is wrong, where, and what to do. Ends with exit code 1 if a finding is an error.
    """
    from exitwave.cli.console import Console, print_findings
    from exitwave.cxi.validate import validate as check_schema
    from exitwave.dialects.detect import check
    from exitwave.dialects.registry import DIALECTS

    if quick and profile != "seed":
        raise InputError("--quick is for the schema", found=f"profile {profile}", remedy="Leave --quick out")
    findings = check_schema(path, quick=True) if quick else check(DIALECTS.get(profile), path)
    counts = {level: sum(finding.level == level for finding in findings) for level in ("error", "warning", "info")}
    out = Console(stderr=as_json)
    print_findings(out, findings)
    note = f" (profile {profile})" if profile != "seed" else " (only a sample of the frames was read)" if quick else ""
    out.print(f"{path}: {_conclusion(counts)}{note}")
    if as_json:
        document = {"file": path, "profile": profile, "quick": quick, "valid": counts["error"] == 0, "counts": counts}
        print_json(document | {"findings": [finding.as_dict() for finding in findings]})
    raise typer.Exit(1 if counts["error"] else 0)


def _conclusion(counts: dict[str, int]) -> str:
    """Return whether the file is valid, and the number of findings of each level."""
    if not any(counts.values()):
        return "valid: no findings"
    names = {"error": "error", "warning": "warning", "info": "remark"}
    listed = ", ".join(f"{n} {names[level]}{'s' * (n > 1)}" for level, n in counts.items() if n)
    return f"{'not valid' if counts['error'] else 'valid'}: {listed}"
