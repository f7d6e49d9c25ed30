"""`imgsearch db`: bring the schema up to date, and say where it is."""

from __future__ import annotations

import typer

from imgsearch import db
from imgsearch.cli.console import as_json, output
from imgsearch.settings import load_settings

app = typer.Typer(help="The database schema: upgrade, current, check.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def upgrade(
    revision: str = typer.Argument("head", help="The revision to go to."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Bring the schema up to date; safe to run again, and from several machines at once."""
    reached = db.upgrade(load_settings(), revision)
    if json:
        as_json({"current": reached})
    else:
        output.print(f"The schema is at {reached}.")


@app.command()
def downgrade(revision: str = typer.Argument(..., help='The revision to go back to, "base" for none.')) -> None:
    """Take the schema back; vectors of dropped tables are lost, pictures in the store are not."""
    reached = db.downgrade(load_settings(), revision)
    output.print(f"The schema is at {reached or 'nothing'}.")


@app.command()
def current(json: bool = typer.Option(False, "--json", help="For programs.")) -> None:
    """Say which revision the schema is at."""
    with db.connect(load_settings(), autocommit=True) as connection:
        found, newest = db.revision_of(connection), db.head()
    if json:
        as_json({"current": found, "head": newest})
    else:
        output.print(f"The schema is at {found or 'nothing'}; the newest is {newest}.")


@app.command()
def check(json: bool = typer.Option(False, "--json", help="For programs.")) -> None:
    """Exit with 0 when extension and schema are as this version needs them, else say what to do."""
    with db.connect(load_settings(), autocommit=True) as connection:
        db.check(connection)
    if json:
        as_json({"ok": True})
    else:
        output.print("Database connection: OK\npgvector: OK\nSchema: OK")
