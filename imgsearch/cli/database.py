"""`imgsearch db`: bring the schema up to date, and say where it is."""

from __future__ import annotations

import typer

from imgsearch import db, schema
from imgsearch.cli.console import as_json, output
from imgsearch.schema import migrate
from imgsearch.settings import load_settings

app = typer.Typer(
    help="The database schema: upgrade, current, check, remove.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def upgrade(json: bool = typer.Option(False, "--json", help="For programs.")) -> None:
    """Bring the schema up to date; safe to run again, and from several machines at once."""
    reached = schema.upgrade(load_settings())
    if json:
        as_json({"current": reached})
    else:
        output.print(f"The schema is at {reached}.")


@app.command()
def remove(
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
) -> None:
    """Remove tables, vectors and functions from the database; images in the store, roles and pgvector stay."""
    if not yes:
        typer.confirm("Every picture's row and vector will be lost. Go on?", abort=True)
    schema.remove(load_settings())
    output.print("The schema is gone.")


@app.command()
def current(json: bool = typer.Option(False, "--json", help="For programs.")) -> None:
    """Say which table step the schema is at, and which release made it."""
    with db.connect(load_settings(), autocommit=True) as connection:
        found, newest = migrate.applied(connection), migrate.head()
    step, release = (found.step, str(found.release)) if found else (None, None)
    if json:
        as_json({"current": step, "head": newest, "release": release})
    else:
        output.print(f"The schema is at {step or 'nothing'}; the newest is {newest}.")


@app.command()
def check(json: bool = typer.Option(False, "--json", help="For programs.")) -> None:
    """Exit with 0 when extension and schema are as this version needs them, else say what to do."""
    with db.connect(load_settings(), autocommit=True) as connection:
        migrate.check(connection)
    if json:
        as_json({"ok": True})
    else:
        output.print("Database connection: OK\npgvector: OK\nSchema: OK")
