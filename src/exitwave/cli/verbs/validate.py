"""``exitwave validate``: whether a file is as the schema says, or as another program wants it."""

from typing import Annotated

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Input, Json


def validate(
    path: Input,
    profile: Annotated[
        str, typer.Option(metavar="NAME", help="Whose reader to ask about: seed is the schema; see exitwave formats.")
    ] = "seed",
    as_json: Json = False,
) -> None:
    """Check a file against the schema, or for another program.

    Says what is wrong, where, and what to do about it. Ends with exit code 1 if there is an error among the findings.
    """
    from exitwave.cli.console import Console, print_findings
    from exitwave.dialects.detect import check
    from exitwave.dialects.registry import dialect

    findings = check(dialect(profile), path)
    counts = {level: sum(finding.level == level for finding in findings) for level in ("error", "warning", "info")}
    out = Console(stderr=as_json)
    print_findings(out, findings)
    out.print(f"{path}: {_verdict(counts)}" + (f" (profile {profile})" if profile != "seed" else ""))
    if as_json:
        documents = [finding.as_dict() for finding in findings]
        print_json(
            {"file": path, "profile": profile, "valid": counts["error"] == 0, "counts": counts, "findings": documents}
        )
    raise typer.Exit(1 if counts["error"] else 0)


def _verdict(counts: dict[str, int]) -> str:
    if not any(counts.values()):
        return "valid: no findings"
    names = {"error": "error", "warning": "warning", "info": "remark"}
    listed = ", ".join(f"{n} {names[level]}{'s' * (n > 1)}" for level, n in counts.items() if n)
    return f"{'not valid' if counts['error'] else 'valid'}: {listed}"
