"""`imgsearch bench`: how fast this installation searches and embeds, on its own data."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from typing import Any, Unpack

import psycopg
import typer

from imgsearch import db
from imgsearch.cli.console import as_json, output, progress, table
from imgsearch.db import sql
from imgsearch.errors import QueryTimeout, UsageError
from imgsearch.ingest import upload
from imgsearch.ingest.wakeup import notify_workers
from imgsearch.query import ImageId, resolve
from imgsearch.retrieval import search
from imgsearch.retrieval.filters import FilterArguments
from imgsearch.settings import Settings, load_settings

TENANT = "imgsearch-bench"  # its images are removed again


def bench(
    count: int = typer.Option(50, "--count", help="How many of each."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Time warm searches (cached text, new text, by image, filtered) and an upload until it is searchable."""
    settings = load_settings()
    measured: dict[str, list[float]] = {}
    with db.connect(settings) as connection, progress(quiet=json) as bar:
        sample = sql.rows(connection, "bench", "sample", {"count": count})
        connection.commit()
        if not sample:
            raise UsageError("There are no searchable images to measure with; add some first, or run imgsearch demo.")
        pictures = [_picture(n) for n in range(count + 1)]  # drawn before the clock runs
        tasks: dict[str, Callable[[int], Any]] = {
            "search, cached text": lambda n: _ask(connection, settings, "red shoes"),
            "search, cached text, tenant and price": lambda n: _ask(
                connection, settings, "red shoes", tenant=sample[n % len(sample)]["tenant_id"], max_price=50
            ),
            "search, like an image": lambda n: _ask(connection, settings, ImageId(sample[n % len(sample)]["image_id"])),
            "search, new text": lambda n: _ask(connection, settings, f"a {random.getrandbits(64):x} shoe {n}"),
            "upload until searchable": lambda n: _upload(connection, settings, n, pictures[n]),
        }
        for name, run in tasks.items():
            task = bar.add_task(name, total=count)
            run(0)  # warm: plans, caches, connections
            measured[name] = []
            for n in range(1, count + 1):
                began = time.perf_counter()
                run(n)
                measured[name].append((time.perf_counter() - began) * 1000)
                bar.advance(task)
        sql.run(connection, "bench", "clean", {"tenant": TENANT})
        connection.commit()
    found = {name: _figures(times) for name, times in measured.items()}
    if json:
        as_json(found)
        return
    columns: list[str | tuple[str, str]] = ["what", ("p50 ms", "right"), ("p95 ms", "right"), ("runs", "right")]
    output.print(table(columns, [(name, f["p50_ms"], f["p95_ms"], f["runs"]) for name, f in found.items()]))


def _ask(
    connection: psycopg.Connection[Any], settings: Settings, query: str | ImageId, **filters: Unpack[FilterArguments]
) -> None:
    resolved = resolve(
        connection, query, timeout=settings.query_timeout, notify=lambda: notify_workers(settings, "queries")
    )
    search(connection, resolved, k=10, **filters)
    connection.commit()


def _upload(connection: psycopg.Connection[Any], settings: Settings, number: int, picture: bytes) -> None:
    """Add one new image, and wait until a search could find it."""
    store = upload.open_store(settings.storage_url)
    found = upload.add(connection, picture, product_id=number, tenant=TENANT, store=store)
    connection.commit()
    deadline = time.monotonic() + 30
    while not sql.value(connection, "bench", "searchable", {"image_id": found.image_id, "tenant": TENANT}):
        connection.commit()
        if time.monotonic() > deadline:
            raise QueryTimeout(
                "An image was not searchable within 30 s; is an image worker running? See imgsearch status."
            )
        time.sleep(0.002)
    connection.commit()


def _picture(number: int) -> bytes:
    from dataclasses import replace

    from imgsearch.dev.demo import catalogue

    item = catalogue.items(50)[number % 50]
    return catalogue.draw(replace(item, seed=random.getrandbits(31)))


def _figures(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    return {"p50_ms": round(statistics.median(ordered), 2), "p95_ms": round(p95, 2), "runs": len(ordered)}
