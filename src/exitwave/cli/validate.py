"""``exitwave validate``: whether a file is as the schema says."""

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Input, Json


def validate(path: Input, as_json: Json = False) -> None:
    """Check a file against the schema.

    Says what is wrong, where, and what to do about it. Ends with exit code 1 if there is an error among the findings.
    """
    from exitwave.cli.console import Console, print_findings
    from exitwave.cxi.validate import validate as find

    findings = find(path)
    counts = {level: sum(finding.level == level for finding in findings) for level in ("error", "warning", "info")}
    out = Console(stderr=as_json)
    print_findings(out, findings)
    out.print(f"{path}: {_verdict(counts)}")
    if as_json:
        documents = [finding.as_dict() for finding in findings]
        print_json({"file": path, "valid": counts["error"] == 0, "counts": counts, "findings": documents})
    raise typer.Exit(1 if counts["error"] else 0)


def _verdict(counts: dict[str, int]) -> str:
    if not any(counts.values()):
        return "valid: no findings"
    names = {"error": "error", "warning": "warning", "info": "remark"}
    listed = ", ".join(f"{n} {names[level]}{'s' * (n > 1)}" for level, n in counts.items() if n)
    return f"{'not valid' if counts['error'] else 'valid'}: {listed}"
