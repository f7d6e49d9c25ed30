"""`imgsearch judge`: two spaces side by side and blind, on the page; how the votes stand, and what they say fits."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import typer
from psycopg import Connection

from imgsearch import db
from imgsearch.cli.console import as_json, output, table
from imgsearch.cli.serve import address
from imgsearch.errors import UsageError
from imgsearch.evaluation import votes
from imgsearch.evaluation.places import chosen
from imgsearch.settings import load_settings
from imgsearch.spaces.space import Space


def judge(
    spaces: list[str] = typer.Argument(help="Two spaces."),
    tenant: str = typer.Option(None, "--tenant", help="Only this tenant's pictures."),
    export: Path = typer.Option(
        None, "--export", help="Write what was marked as fitting to a file for `imgsearch evaluate`."
    ),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Say where people vote on two spaces without knowing which is which, and how the votes stand so far."""
    settings = load_settings()
    with db.connect_primary(settings, autocommit=True) as connection:
        first, second = votes.pair(chosen(connection, spaces))
        stand = votes.tally(connection, first, second, tenant)
        written = None if export is None else _export(connection, first, second, export, tenant)
    asked = {"space": [first.space_id, second.space_id]} | ({"tenant": tenant} if tenant else {})
    where = f"{address(settings.home) or 'http://…/'}judge?{urlencode(asked, doseq=True)}"
    if json:
        as_json(asdict(stand) | {"p": stand.p, "page": where, "judgements": written})
        return
    rows = [(one.name, won) for one, won in ((first, stand.first), (second, stand.second))]
    output.print(table(["better", ("votes", "right")], [*rows, ("no difference", stand.same)]))
    if stand.first + stand.second:
        output.print(f"So uneven by chance alone: p = {stand.p:.3f} (sign test), over {stand.questions} questions.")
    if written is not None:
        output.print(f"{written:,} judgements are in {export}: imgsearch evaluate {export}", markup=False)
    output.print(f"Vote at {where}", markup=False, soft_wrap=True)
    if address(settings.home) is None:
        output.print("The page does not run here; start it with `imgsearch serve`.", markup=False)


def _export(connection: Connection[Any], first: Space, second: Space, path: Path, tenant: str | None) -> int:
    try:
        return votes.export(connection, first, second, path, tenant)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}); name another file.") from error
