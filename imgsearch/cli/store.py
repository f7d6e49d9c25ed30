"""`imgsearch store`: move the pictures to another place, and remove what nobody uses."""

from __future__ import annotations

from datetime import timedelta

import typer

from imgsearch import db, storage
from imgsearch.cli.console import as_json, errors, output, progress
from imgsearch.errors import UsageError
from imgsearch.ingest import picture_store, upload
from imgsearch.settings import load_settings
from imgsearch.storage import owners

app = typer.Typer(help="The picture store: copy, sweep, take over.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def copy(
    source: str = typer.Argument(..., metavar="FROM", help="Where the pictures are: file:///…, s3://bucket/prefix, …"),
    target: str = typer.Argument(..., metavar="TO", help="Where they should be as well."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Copy pictures and thumbnails to another store; may be stopped and run again.

    To move: copy, set IMGSEARCH_STORAGE_URL to the new place everywhere, copy once more for what came meanwhile.
    """
    if source.rstrip("/") == target.rstrip("/"):
        raise UsageError("FROM and TO are the same store.")
    with progress(quiet=json) as bar:
        task = bar.add_task("copying", total=None)
        here, there = storage.open_store(source), storage.open_store(target)
        owners.copy_marks(here.objects, there.objects)
        copied = here.copy_to(there, lambda objects, _: bar.update(task, completed=objects))
    if json:
        as_json({"objects": copied.objects, "bytes": copied.size, "damaged": list(copied.damaged)})
    else:
        output.print(f"{copied.objects:,} objects copied, {copied.size:,} bytes.")
        for key in copied.damaged:
            errors.print(f"left out, its bytes are damaged: {key}")
    if copied.damaged:
        raise typer.Exit(1)


@app.command()
def sweep(
    hours: float = typer.Option(1.0, min=0.5, help="Leave what was written within so many hours: uploads in flight."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Delete stored files that no image uses. `imgsearch up` does this every hour."""
    settings = load_settings()
    with db.connect(settings, autocommit=True) as connection:
        swept = upload.sweep_store(
            connection, upload.open_store(settings.storage_url), older_than=timedelta(hours=hours)
        )
    if json:
        as_json({"seen": swept.seen, "deleted": swept.deleted, "bytes": swept.size})
    else:
        output.print(f"{swept.deleted:,} of {swept.seen:,} objects deleted, {swept.size:,} bytes freed.")


@app.command("take-over")
def take_over(json: bool = typer.Option(False, "--json", help="For programs.")) -> None:
    """Make this database the store's only owner, where all others are gone: sweeps delete what only they used."""
    settings = load_settings()
    with db.connect(settings, autocommit=True) as connection:
        gone = picture_store.take_over(connection, upload.open_store(settings.storage_url))
    if json:
        as_json({"gone": [{"id": owner.id, "database": owner.database, "since": owner.since} for owner in gone]})
    else:
        for owner in gone:
            output.print(f"It no longer belongs to {owner}.", markup=False)
        output.print("The picture store is this database's alone.")
