"""`imgsearch shop set` and `imgsearch suggest`: a shop's language, and what its words suggest."""

from __future__ import annotations

import typer

from imgsearch import db
from imgsearch.cli.console import as_json, output, table
from imgsearch.errors import UsageError
from imgsearch.ops import shops
from imgsearch.settings import load_settings

app = typer.Typer(help="Settings of a tenant's shop: set.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Settings of a tenant's shop: set."""


@app.command("set")
def set_(
    tenant: str = typer.Option(..., "--tenant", help="Whose shop."),
    language: str | None = typer.Option(
        None, "--language", help="Of titles and words: english, german, …; simple: no stems, no stop words."
    ),
    keep_questions: bool | None = typer.Option(
        None,
        "--keep-questions/--forget-questions",
        help="Whether what is asked is kept, to be suggested; not kept unless said.",
    ),
) -> None:
    """Set the language of a shop's words, and whether it keeps what is asked."""
    if language is None and keep_questions is None:
        raise UsageError("Say what to set: --language NAME, --keep-questions or --forget-questions.")
    with db.connect(load_settings(), autocommit=True) as connection:
        shops.set_shop(connection, tenant=tenant, language=language, keep_questions=keep_questions)
    output.print(f"The shop {tenant} is set.", markup=False)


def suggest(
    typed: str = typer.Argument(..., help="What was typed so far."),
    tenant: str | None = typer.Option(None, "--tenant", help="Whose shop."),
    k: int = typer.Option(8, "--k", "-k", help="How many at most, from 1 to 20."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Suggest words and titles that go on from what is typed."""
    with db.connect(load_settings(), autocommit=True) as connection:
        found = shops.suggest(connection, typed, tenant=tenant, k=k)
    if json:
        as_json(found)
    elif found:
        output.print(table(["suggestion", "kind", "product"], [(*one.values(),) for one in found]))
    else:
        output.print("No words or titles go on like this. Workers collect the words of new titles within minutes.")
