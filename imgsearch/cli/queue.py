"""`imgsearch queue`: which images failed and why, and fetching addresses again."""

from __future__ import annotations

import typer

from imgsearch import db
from imgsearch.cli.console import as_json, output, table
from imgsearch.db import sql
from imgsearch.settings import load_settings

app = typer.Typer(help="The queue: failures, refetch.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def failures(
    tenant: str = typer.Option(None, help="Only this tenant's."),
    code: str = typer.Option(None, help="Only those that failed with this code."),
    limit: int = typer.Option(50, min=1, help="How many at most, the latest first."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """List the images that failed, and why."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        values = {"tenant": tenant, "error_code": code, "limit": limit}
        found = sql.rows(connection, "status", "latest_failures", values)
    if json:
        as_json(list(found))
        return
    rows = [(f["tenant_id"], f["product_id"], f["image_id"] or "", f["error_code"], f["error"]) for f in found]
    columns: list[str | tuple[str, str]] = ["tenant", "product", ("image", "right"), "reason", "what to do"]
    output.print(table(columns, rows) if rows else "No image failed.")


@app.command()
def refetch(
    tenant: str = typer.Option(None, help="Only this tenant's."),
    product_id: str = typer.Option(None, help="Only this product's."),
    image_id: int = typer.Option(None, help="Only this image."),
    code: str = typer.Option(None, help="Only those that failed with this code, such as changed."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Fetch images that were added as http(s) addresses again, because what is there may have changed."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        values = {"tenant": tenant, "product": product_id, "image_id": image_id, "error_code": code}
        count = sql.value(connection, "status", "refetch", values)
    if json:
        as_json({"refetched": count})
    else:
        output.print(f"{count:,} images wait to be fetched again.")
