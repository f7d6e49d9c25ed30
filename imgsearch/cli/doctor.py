"""`imgsearch doctor`: list every known problem of this database."""

from __future__ import annotations

from dataclasses import asdict

import typer

from imgsearch import db
from imgsearch.cli.console import as_json, output
from imgsearch.ops import route, shared_store
from imgsearch.ops.doctor import BLOCKED, SECONDS, examine
from imgsearch.settings import load_settings


def doctor(
    seconds: float = typer.Option(SECONDS, help="Give up after this long."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """List every known problem of this database, its effect and the fix; exit with 1 when one is more than advice."""
    settings = load_settings()
    findings = route.examine(settings)
    if not any(finding.check_name.startswith("primary ") for finding in findings):
        with db.connect_primary(settings, autocommit=True) as connection:  # where the fixes can be done
            here = examine(connection, seconds=seconds)
            findings += here
            if not any(finding.check_name in BLOCKED for finding in here):
                findings += shared_store.examine(connection, settings)
    problems = sum(finding.severity == "problem" for finding in findings)
    if json:
        as_json({"healthy": not problems, "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            fix = finding.fix.replace("\n", "\n  ")
            colour = "red" if finding.severity == "problem" else "yellow"
            output.print(f"[{colour}]{finding.check_name}[/]: ", end="")
            output.print(f"{finding.detail}\n  {finding.impact}\n  {fix}", markup=False, soft_wrap=True)
        output.print(
            "No known problem."
            if not findings
            else f"{problems} problem{'' if problems == 1 else 's'}, {len(findings) - problems} to consider."
        )
    if problems:
        raise typer.Exit(1)
