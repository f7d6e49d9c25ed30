"""`imgsearch demo`: a real catalogue, uploaded through the real path, searched six ways; then it stays up."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import typer
from rich.syntax import Syntax

from imgsearch import db
from imgsearch.cli import search as search_command
from imgsearch.cli import serve, servers
from imgsearch.cli.add import Summary, add_entry, wait_until_searchable
from imgsearch.cli.console import as_json, errors, output, progress
from imgsearch.db import sql
from imgsearch.errors import ImgsearchError
from imgsearch.extras import needed
from imgsearch.ingest import upload
from imgsearch.ingest.catalogue import Entry
from imgsearch.ingest.wakeup import notify_workers
from imgsearch.query import ImageId, Query, resolve
from imgsearch.retrieval import search
from imgsearch.settings import Settings, load_settings

if TYPE_CHECKING:
    from imgsearch.dev.demo.searches import Search

MODEL = "demo"
PATIENCE = 120.0  # seconds for a worker that we started to load its model, on a slow or busy machine


def demo(
    once: bool = typer.Option(False, "--once", help="Stop everything at the end."),
    json: bool = typer.Option(False, "--json", help="Print one JSON document for programs."),
    count: int = typer.Option(3000, "--count", min=1, help="How many images."),
) -> None:
    """Start servers, upload a catalogue the project draws, search it by words, picture and SQL filter."""
    with needed("dev", "The demo"):
        from imgsearch.dev import embedded
        from imgsearch.dev.demo.searches import SEARCHES
        from imgsearch.dev.embedded.detached import stop_detached
    settings = load_settings()
    if not settings.model:
        os.environ["IMGSEARCH_MODEL"] = MODEL
    if "IMGSEARCH_PAGE_ENGINEER" not in settings.environment():
        os.environ["IMGSEARCH_PAGE_ENGINEER"] = "on"  # a demo shows how it is done
    say = errors.print if json else output.print
    began = time.monotonic()
    running = servers.workers_run(settings)
    say(f"[dim]servers, schema and workers over {settings.home} …[/]")
    servers.start_servers(settings)
    servers.start_workers(settings)
    try:
        with db.connect(settings) as connection:
            images = _fill(connection, settings, count, quiet=json)
            say(f"[dim]{images:,} images are searchable after {time.monotonic() - began:.1f} s[/]\n")
            answers = [_ask(connection, settings, wanted, quiet=json) for wanted in SEARCHES]
            if not once:
                _until_questions_are_answered(connection, began)
    finally:
        if once and not running:
            stop_detached(settings.home)
            embedded.stop(settings.home)
    if json:
        as_json({"images": images, "searches": answers})
    elif not once:
        _how_to_go_on(settings)


def _fill(connection: psycopg.Connection[Any], settings: Settings, count: int, *, quiet: bool) -> int:
    """Upload what is not here yet, through the same `add` as any shop; return how many images are ready."""
    from imgsearch.dev.demo import catalogue

    have = {(row["tenant_id"], row["product_id"], row["position"]) for row in sql.rows(connection, "demo", "have")}
    wanted = [item for item in catalogue.items(count) if (item.tenant_id, item.product_id, item.position) not in have]
    summary = Summary()
    with progress(quiet=quiet) as bar:
        if wanted:
            sql.run(connection, "demo", "speak_english", {"tenants": sorted({item.tenant_id for item in wanted})})
            store = upload.open_store(settings.storage_url)
            task = bar.add_task("uploading", total=len(wanted))
            for number, (entry, picture) in enumerate(_drawn(wanted), 1):
                found = add_entry(connection, entry, picture, store)
                summary.waiting.append(found.image_id)
                bar.advance(task)
                if number % 50 == 0:
                    connection.commit()
            connection.commit()
            wait_until_searchable(connection, summary.waiting, bar, PATIENCE)
    ready = int(sql.rows(connection, "status", "status")[0]["ready"])
    connection.commit()
    if ready < count:
        raise ImgsearchError(f"Only {ready} of {count} images are ready; see: imgsearch status")
    return ready


def _until_questions_are_answered(connection: psycopg.Connection[Any], began: float) -> None:
    """Wait for the query worker: a second run knows all its answers long before the model is loaded."""
    deadline = time.monotonic() + PATIENCE
    while (now := time.monotonic()) < deadline:
        if sql.value(connection, "demo", "answers_questions", {"seconds": now - began}):
            return
        connection.commit()
        time.sleep(0.1)


def _drawn(items: list[Any]) -> Iterator[tuple[Entry, bytes]]:
    """Draw ahead in threads (Pillow lets go of the GIL), in order, a bounded number at a time."""
    from imgsearch.dev.demo import catalogue

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ahead: list[tuple[Any, Future[bytes]]] = []
        for item in items:
            ahead.append((item, pool.submit(catalogue.draw, item)))
            if len(ahead) > 32:
                yield _entry(*ahead.pop(0))
        for item, picture in ahead:
            yield _entry(item, picture)


def _entry(item: Any, picture: Future[bytes]) -> tuple[Entry, bytes]:
    attributes = {**item.attributes, "caption": item.caption}
    entry = Entry(
        image=Path(),
        place="demo",
        product_id=item.product_id,
        tenant_id=item.tenant_id,
        position=item.position,
        category=item.category,
        price=item.price,
        in_stock=item.in_stock,
        attributes=attributes,
        title=item.title,
    )
    return entry, picture.result()


def _ask(connection: psycopg.Connection[Any], settings: Settings, wanted: Search, *, quiet: bool) -> dict[str, Any]:
    from imgsearch.dev.demo.words import CATEGORIES

    query: Query = wanted.text or ""
    title = wanted.title
    if wanted.text is None:
        like = {"category": wanted.like_category, "colour": wanted.like_colour}
        [first] = sql.rows(connection, "demo", "first", like)
        query = ImageId(first["image_id"])
        title = title.format(picture=f"{first['colour']} {CATEGORIES[first['category']].nouns[0]}")
    began = time.perf_counter()
    resolved = resolve(connection, query, timeout=60, notify=lambda: notify_workers(settings, "queries"))
    hits = search(connection, resolved, k=10, **wanted.filters)
    took_ms = (time.perf_counter() - began) * 1000
    connection.commit()
    statement = wanted.sql(query.image_id if isinstance(query, ImageId) else None)
    if not quiet:
        output.rule(f"[bold]{title}", align="left", style="dim")
        output.print(Syntax(statement, "postgresql", theme="ansi_dark", background_color="default", word_wrap=True))
        search_command.show(hits, resolved)
        output.print()
    return {
        "query": title,
        "filter": wanted.filters,
        "sql": statement,
        "took_ms": round(took_ms, 2),
        "rows": search_command.rows(hits),
    }


def _how_to_go_on(settings: Settings) -> None:
    program = "imgsearch" if os.environ.get("VIRTUAL_ENV") else str(Path(sys.executable).with_name("imgsearch"))
    where = serve.wait_for_address(settings.home)
    if where:
        output.rule("The page", align="left", style="dim")
        output.print(f"  [bold]{where}[/]  [dim]open it in a browser on this machine[/]\n", soft_wrap=True)
    output.rule("Everything stays up; go on with", align="left", style="dim")
    for line, meaning in (
        (f'{program} search "blue striped bag" --max-price 40', "ask it yourself"),
        (f"{program} search --picture photo.jpg -k 5", "ask with a picture"),
        (f"{program} psql", "SQL: SELECT * FROM imgsearch.search('red shoes', tenant => 'acme');"),
        (f"{program} status", "what is here"),
        (f"{program} down", "stop everything; the data stays"),
    ):
        output.print(f"  {line:<58} [dim]{meaning}[/]", soft_wrap=True)
