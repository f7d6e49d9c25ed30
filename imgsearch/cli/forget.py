"""`imgsearch forget`: everything a tenant has here, gone with one command."""

from __future__ import annotations

import typer

from imgsearch import db
from imgsearch.cli.console import as_json, errors, output
from imgsearch.errors import UsageError
from imgsearch.ingest import upload
from imgsearch.settings import load_settings


def forget(
    tenant: str = typer.Argument(..., help="Whose images, vectors, keys and bytes to remove."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask; for programs."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Remove a tenant completely: rows, vectors, keys, images and thumbnails. This cannot be undone."""
    if not yes:
        if json:
            raise UsageError("Forgetting a tenant cannot be undone; add --yes.")
        errors.print(f"This removes everything of the tenant {tenant!r} and cannot be undone.", markup=False)
        if typer.prompt("Type the tenant's name to go on", err=True) != tenant:
            raise UsageError("That is not the tenant's name; nothing was removed.")
    settings = load_settings()
    with db.connect_primary(settings, autocommit=True) as connection:
        gone = upload.forget(connection, tenant=tenant, store=upload.open_store(settings.storage_url))
    if json:
        as_json({"images": gone.images, "objects": gone.objects, "rows": dict(gone.rows)})
        return
    output.print(
        f"{gone.images:,} images of {tenant!r} are gone, and {gone.objects:,} files that only it used.",
        markup=False,
    )
    for table, count in gone.rows.items():
        output.print(f"{count:,} rows of {table} are gone.")
