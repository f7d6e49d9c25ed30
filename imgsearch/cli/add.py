"""`imgsearch add`: images, folders and catalogues into the shop, with a bar, and a summary of what failed and why."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import typer
from rich.progress import Progress

from imgsearch import db, schema, values
from imgsearch.cli.console import as_json, errors, output, progress, table
from imgsearch.db import sql
from imgsearch.errors import CatalogueError, ImgsearchError, PictureError, UsageError
from imgsearch.ingest import catalogue, upload
from imgsearch.ingest.catalogue import BadRow, Column, Entry, Reading, Skipped
from imgsearch.ingest.upload import Added, Picture
from imgsearch.settings import Settings, load_settings
from imgsearch.storage import Store

BATCH = 64  # images per transaction: few enough to be searchable early, many enough to be quick
SHOWN_FAILURES = 20


@dataclass
class Summary:
    """What became of the images of one `add`."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    skipped: int = 0
    seconds: float = 0.0

    def fail(self, place: str, error: ImgsearchError) -> None:
        code = error.code if isinstance(error, PictureError) else type(error).__name__
        self.failures.append({"place": place, "code": code, "error": str(error)})

    def document(self) -> dict[str, Any]:
        counts = {name: self.outcomes[name] for name in ("added", "replaced", "changed", "unchanged")}
        read = {"skipped": self.skipped, "columns": {column.name: column.kind for column in self.columns}}
        failures = {"failed": len(self.failures), "failures": self.failures}
        return {**counts, **failures, **read, "seconds": round(self.seconds, 3)}


def add(
    sources: list[Path] = typer.Argument(..., help="Pictures, folders, or catalogues (.csv, .jsonl)."),
    tenant: str = typer.Option(None, help="Whose images; a catalogue's rows of another tenant are refused."),
    product_id: str = typer.Option(None, help="The product; for one picture. Else its file name."),
    category: str = typer.Option(None, help="Category, where the catalogue does not say."),
    categories: list[str] = typer.Option(
        None, "--categories", help="Of several categories one; repeat it. Where the catalogue does not say."
    ),
    price: float = typer.Option(None, help="Price, where the catalogue does not say."),
    title: str = typer.Option(None, help="What the product is called, where the catalogue does not say."),
    words: str = typer.Option(None, help="Other words to find it by, where the catalogue does not say."),
    codes: str = typer.Option(None, help="Its SKU, EAN and the like, with commas between them; for one picture."),
    allow_folder: list[Path] = typer.Option(
        None, help="A further folder that a catalogue may name pictures in, beside its own. Repeat for several."
    ),
    text: list[str] = typer.Option(None, help="A column of a CSV file whose cells stay text. Repeat for several."),
    encoding: str = typer.Option(None, help="Of a catalogue that is not UTF-8, for example windows-1252."),
    space: str = typer.Option(None, help="Of which space the catalogue's vectors are; else of the only one."),
    wait: bool = typer.Option(True, help="Wait until the images are searchable."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Add images. Running it twice changes nothing; adding a product's image again replaces it."""
    settings = load_settings()
    if (product_id or codes) is not None and (len(sources) > 1 or sources[0].is_dir()):
        raise UsageError("--product-id and --codes are of one picture; use a catalogue for several.")
    tenant = tenant if tenant is None else values.key(tenant, "--tenant")
    summary = Summary()
    began = time.monotonic()
    with db.connect_primary(settings) as connection, progress(quiet=json) as bar:
        schema.check(connection)
        given = {"product_id": product_id, "category": category, "categories": categories, "price": price}
        given |= {"title": title, "words": words, "codes": codes}
        reading = Reading(allowed=allow_folder or (), encoding=encoding, texts=text or ())
        pictures = list(_all_entries(sources, reading, lambda entry: _with(entry, tenant, given), summary))
        add_all(connection, settings, pictures, summary, bar, len(pictures), space)
        if wait and summary.waiting:
            wait_until_searchable(connection, summary.waiting, bar)
            _note_failed(connection, summary)
    summary.seconds = time.monotonic() - began
    _report(summary, json=json)
    if summary.failures:
        raise typer.Exit(PictureError.exit_code)


def add_all(
    connection: psycopg.Connection[Any],
    settings: Settings,
    entries: Iterable[Entry],
    summary: Summary,
    bar: Progress,
    total: int,
    space: str | None = None,
) -> None:
    """Add images in small transactions; a bad one is noted and harms no other."""
    store = upload.open_store(settings.storage_url)
    task = bar.add_task("uploading", total=total)
    for number, entry in enumerate(entries, 1):
        try:
            with connection.transaction():  # a savepoint: one refused row leaves the batch as it was
                found = add_entry(connection, entry, entry.image, store, space)
            summary.outcomes[found.outcome] += 1
            if found.waits:
                summary.waiting.append(found.image_id)
        except (PictureError, UsageError) as error:
            summary.fail(entry.place, error)
        except psycopg.Error as error:
            if connection.closed or error.sqlstate is None:  # the server went, not the row is bad
                raise
            summary.fail(entry.place, UsageError(f"The database refuses this row: {error.diag.message_primary}."))
        if number % BATCH == 0:
            connection.commit()
        bar.advance(task)
    connection.commit()


def add_entry(
    connection: psycopg.Connection[Any], entry: Entry, picture: Picture, store: Store, space: str | None = None
) -> Added:
    """Add the image of one entry; `picture` is where its bytes are, or the bytes."""
    return upload.add(
        connection,
        picture,
        product_id=entry.product_id,
        tenant=entry.tenant_id or "default",
        position=entry.position,
        category=entry.category,
        categories=entry.categories,
        price=entry.price,
        in_stock=entry.in_stock,
        attributes=entry.attributes,
        title=entry.title,
        words=entry.words,
        codes=entry.codes,
        vector=entry.vector,
        space=None if entry.vector is None else space,
        store=store,
    )


def wait_until_searchable(
    connection: psycopg.Connection[Any], images: list[int], bar: Progress, patience: float = 10
) -> None:
    """Follow the workers until none of `images` waits; say so and stop when nobody works for `patience` seconds."""
    task = bar.add_task("embedding", total=len(images))
    silent_since = time.monotonic()
    left = len(images)
    while left:
        found = sql.rows(connection, "status", "progress", {"images": images})[0]
        connection.commit()
        if found["waiting"] < left or sql.rows(connection, "status", "workers"):
            silent_since = time.monotonic()
        left = found["waiting"]
        bar.update(task, completed=len(images) - left)
        if time.monotonic() - silent_since > patience:
            errors.print(f"No worker is running: {left:,} images wait. Start one with: imgsearch up --detach")
            return
        connection.commit()
        time.sleep(0.1 if len(images) < 100 else 0.5)


def _all_entries(
    sources: list[Path], reading: Reading, filled: Callable[[Entry], Entry | BadRow], summary: Summary
) -> Iterator[Entry]:
    """Yield what can be added of all sources together, and note the rest in the summary."""
    rows = (
        filled(row) if isinstance(row, Entry) else row
        for source in sources
        for row in catalogue.entries(source, reading)
    )
    for row in catalogue.unique(rows):
        if isinstance(row, BadRow):
            summary.fail(row.place, row.error)
        elif isinstance(row, Column):
            summary.columns.append(row)
        elif isinstance(row, Skipped):
            summary.skipped += row.count
        else:
            yield row


def _with(entry: Entry, tenant: str | None, given: dict[str, Any]) -> Entry | BadRow:
    """Fill in from the command line what the catalogue does not say; refuse what it says of another tenant."""
    if tenant is not None and entry.tenant_id not in (None, tenant):
        error = CatalogueError(f"this row is of tenant {entry.tenant_id}, and --tenant says {tenant}; it is left out.")
        return BadRow(entry.place, error)
    return replace(
        entry,
        tenant_id=entry.tenant_id or tenant or "default",
        product_id=given["product_id"] or entry.product_id,
        category=entry.category or given["category"],
        categories=entry.categories or given["categories"],
        price=given["price"] if entry.price is None else entry.price,
        title=entry.title or given["title"],
        words=entry.words or given["words"],
        codes=entry.codes or given["codes"],
    )


def _note_failed(connection: psycopg.Connection[Any], summary: Summary) -> None:
    for row in sql.rows(connection, "status", "failed", {"images": summary.waiting}):
        failure = {"place": f"product {row['product_id']}", "code": row["error_code"], "error": row["error"]}
        summary.failures.append(failure)


def _report(summary: Summary, *, json: bool) -> None:
    if json:
        as_json(summary.document())
        return
    counts = ", ".join(f"{count:,} {name}" for name, count in summary.outcomes.items() if count) or "nothing added"
    output.print(f"{counts}, {len(summary.failures):,} failed, in {summary.seconds:,.1f} s")
    if summary.skipped:
        output.print(f"{summary.skipped:,} hidden files and files that systems leave beside pictures were passed over.")
    if summary.columns:
        output.print("Attributes: " + "; ".join(map(str, summary.columns)) + ".", markup=False)
    if summary.failures:
        rows = [(f["place"], f["code"], f["error"]) for f in summary.failures[:SHOWN_FAILURES]]
        output.print(table(["failed", "reason", "what to do"], rows))
        if len(summary.failures) > SHOWN_FAILURES:
            output.print(f"… and {len(summary.failures) - SHOWN_FAILURES:,} more; --json lists them all")
