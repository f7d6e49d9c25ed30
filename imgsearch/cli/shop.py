"""`imgsearch shop set|show` and `imgsearch suggest`: a shop's settings, and what its words suggest."""

from __future__ import annotations

from typing import Literal, cast

import typer

from imgsearch import db
from imgsearch.cli.console import as_json, output, table
from imgsearch.errors import UsageError
from imgsearch.ops import shops
from imgsearch.settings import load_settings

app = typer.Typer(help="Settings of a tenant's shop: set, show.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Settings of a tenant's shop: set, show."""


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
    duplicates: str | None = typer.Option(
        None, "--duplicates", help="Of new pictures: keep, link (mark them) or refuse; kept unless said."
    ),
    describe_pictures: bool | None = typer.Option(
        None,
        "--describe-pictures/--undescribe-pictures",
        help="Whether workers make colours and composition of pictures their attributes (picture_colours, …).",
    ),
    keep_captures: bool | None = typer.Option(
        None,
        "--keep-captures/--forget-captures",
        help="Whether it is kept when and where pictures were taken, to filter by; not kept unless said.",
    ),
    regions: str | None = typer.Option(
        None, "--regions", help="By which parts pictures are found, too: salient, grid, detector:NAME or off."
    ),
    regions_per_picture: int | None = typer.Option(
        None, "--regions-per-picture", help="At most so many parts of each, from 1 to 9; 5 unless said."
    ),
) -> None:
    """Set the language of a shop's words, what is kept, what becomes of duplicates; what is turned off is removed."""
    wanted = (language, keep_questions, duplicates, describe_pictures, keep_captures, regions, regions_per_picture)
    if all(value is None for value in wanted):
        raise UsageError("Say what to set, for example --language german; see imgsearch shop set --help.")
    if duplicates not in {None, "keep", "link", "refuse"}:
        raise UsageError(f"--duplicates {str(duplicates)[:40]}: it is keep, link or refuse.")
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        shops.set_shop(
            connection,
            tenant=tenant,
            language=language,
            keep_questions=keep_questions,
            duplicates=cast("Literal['keep', 'link', 'refuse'] | None", duplicates),
            describe_pictures=describe_pictures,
            keep_captures=keep_captures,
            regions=regions,
            regions_per_picture=regions_per_picture,
        )
    output.print(f"The shop {tenant} is set.", markup=False)


@app.command("show")
def show(
    tenant: str = typer.Option(..., "--tenant", help="Whose shop."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Show a shop's settings, and how far workers have come with its pictures."""
    with db.connect(load_settings(), autocommit=True) as connection:
        found = shops.show(connection, tenant)
    if json:
        as_json(found)
        return
    said = {name: ("yes" if value else "no") if isinstance(value, bool) else value for name, value in found.items()}
    rows = [(name.replace("_", " "), value) for name, value in said.items()]
    output.print(table(["setting", "value"], rows))


def suggest(
    typed: str = typer.Argument(..., help="What was typed so far."),
    tenant: str | None = typer.Option(None, "--tenant", help="Whose shop."),
    k: int = typer.Option(8, "--k", "-k", help="How many at most, from 1 to 20."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Suggest words and titles that go on from what is typed."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        found = shops.suggest(connection, typed, tenant=tenant, k=k)
    if json:
        as_json(found)
    elif found:
        output.print(table(["suggestion", "kind", "product"], [(*one.values(),) for one in found]))
    else:
        output.print("No words or titles go on like this. Workers collect the words of new titles within minutes.")
