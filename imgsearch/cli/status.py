"""`imgsearch status` and `requeue`: what is waiting, what failed, and another chance."""

from __future__ import annotations

from typing import Any

import psycopg
import typer

from imgsearch import db
from imgsearch.cli.console import as_json, output, table
from imgsearch.db import sql
from imgsearch.ops import lifecycle, tenant_graphs
from imgsearch.ops.gauges import gauges_exposition
from imgsearch.settings import load_settings


def status(
    json: bool = typer.Option(False, "--json", help="For programs."),
    prometheus: bool = typer.Option(False, "--prometheus", help="The same gauges as /metrics, as Prometheus text."),
) -> None:
    """Show how many images are in which state, the workers, the model, and what failed."""
    settings = load_settings()
    with db.connect(settings, autocommit=True) as connection:
        if prometheus:
            typer.echo(gauges_exposition(connection, store=settings.storage_url), nl=False)
            return
        document = read(connection)
    if json:
        as_json(document)
        return
    state = document["status"]
    output.print(
        f"[bold]{state['images']:,} images[/]: {state['ready']:,} ready, {state['pending']:,} waiting, "
        f"{state['leased']:,} being embedded, {state['failed']:,} failed"
    )
    if state["oldest_waiting"] is not None:
        output.print(f"the oldest has waited {state['oldest_waiting'].total_seconds():,.0f} s")
    if state["space_id"] is None:
        output.print("no worker has run here yet; start one: imgsearch worker, with Django manage.py imgsearch worker")
    else:
        output.print(
            f"model {state['model']} ({state['dimension']} dimensions), "
            f"index {state['index_health']}, {state['index_size']}"
        )
    if state["with_regions"] or state["regions_wait"]:
        output.print(f"{state['with_regions']:,} images have their parts, {state['regions_wait']:,} wait for them")
    if len(document["spaces"]) > 1:
        shown = [
            (one["name"], one["state"], one["embedded"], one["waiting"], one["failed"]) for one in document["spaces"]
        ]
        output.print(table(["space", "state", ("images", "right"), ("waiting", "right"), ("failed", "right")], shown))
    for one in document["tenants"]:
        output.print(
            f"tenant {one['tenant_id']}: a graph of its own in space {one['space']}, {one['state']}", markup=False
        )
    if document["workers"]:
        columns: list[str | tuple[str, str]] = ["worker", "queue", "device", ("seen", "right")]
        rows = [(w["name"], w["queue"], w["device"], f"{w['silent']:.0f} s ago") for w in document["workers"]]
        output.print(table(columns, rows))
    else:
        output.print("[yellow]no worker has been seen in the last minute; start one: imgsearch up[/]")
    for one in document["upkeep"]:
        output.print(f"upkeep: {one['step']} failed {one['times']} times in a row: {one['error']}", markup=False)
    if document["failures"]:
        reasons = [(f["error_code"], f["count"], f["example"]) for f in document["failures"]]
        output.print(table(["failed because", ("images", "right"), "for example"], reasons))
        output.print("try them again: imgsearch requeue")


def requeue(
    tenant: str = typer.Option(None, help="Only this tenant's."),
    code: str = typer.Option(None, help="Only those that failed with this code."),
    image_id: int = typer.Option(None, help="Only this image."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Put failed images back into the queue."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        values = {"tenant": tenant, "error_code": code, "image_id": image_id}
        count = sql.value(connection, "status", "requeue", values)
    if json:
        as_json({"requeued": count})
    else:
        output.print(f"{count:,} images are queued again.")


def read(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """Return {"status", "spaces", "tenants" (with own graphs), "workers", "failures", "upkeep"} as plain values."""
    return {
        "status": sql.rows(connection, "status", "status")[0],
        "spaces": lifecycle.listed(connection),
        "tenants": [one for one in tenant_graphs.listed(connection) if one["wanted"]],
        "workers": list(sql.rows(connection, "status", "workers")),
        "failures": list(sql.rows(connection, "status", "failures")),
        "upkeep": list(sql.rows(connection, "upkeep", "failing")),
    }
