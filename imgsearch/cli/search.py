"""`imgsearch search`: search by words, a picture or a stored image, with filters."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import typer

from imgsearch import db
from imgsearch.cli.console import as_json, nearness, output, table
from imgsearch.cli.filters import with_filters
from imgsearch.cli.ranking import with_ranking
from imgsearch.errors import UsageError
from imgsearch.ingest.wakeup import notify_workers
from imgsearch.query import ImageId, Query, Resolved, Thing, resolve
from imgsearch.retrieval import Filters, Hits, Ranking
from imgsearch.retrieval import explain as found_how
from imgsearch.retrieval import search as find
from imgsearch.settings import load_settings


@with_ranking
@with_filters
def search(
    text: str = typer.Argument(None, help='Words, for example "red canvas shoes".'),
    picture: Path = typer.Option(None, "--picture", help="A picture file to search by."),
    image_id: int = typer.Option(None, "--image-id", help="A stored image to search by."),
    more_like: list[int] = typer.Option(None, "--more-like", help="Also like this stored image; repeat for several."),
    less_like: list[int] = typer.Option(
        None, "--less-like", help="Not this stored image: it and what looks like it give way; repeat for several."
    ),
    filters: Filters = Filters(),
    ranking: Ranking = Ranking(),
    k: int = typer.Option(10, "--k", "-k", help="How many, from 1 to 1000."),
    skip: int = typer.Option(0, "--skip", help="Skip this many of the nearest."),
    after: str = typer.Option(None, "--after", help="Continue after a page: its `after`, as --json shows it."),
    max_distance: float = typer.Option(None, "--max-distance", help="Only up to this distance, from 0 to 2."),
    explain: bool = typer.Option(False, "--explain", help="Explain in words how the images were found."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Search by words, a picture or a stored image, with filters, in one SQL statement."""
    query = _query(text, picture, image_id, more_like or [], less_like or [])
    settings = load_settings()
    page: dict[str, Any] = {"k": k, "skip": skip, "after": after, "max_distance": max_distance}
    began = time.perf_counter()
    with db.connect(settings) as connection:
        # Sessions of one command: plans must follow the filters, never an average of them.
        notify = partial(notify_workers, settings, "queries")
        resolved = resolve(connection, query, timeout=settings.query_timeout, tenant=filters.tenant, notify=notify)
        hits = find(connection, resolved, filters=filters, ranking=ranking, **page)
        words = found_how(connection, resolved, filters=filters, ranking=ranking, **page) if explain else []
    took_ms = (time.perf_counter() - began) * 1000
    if json:
        as_json(document(hits, resolved, took_ms) | ({"explain": words} if explain else {}))
        return
    show(hits, resolved)
    for line in words:
        output.print(line, markup=False, soft_wrap=True)


def document(hits: Hits, resolved: Resolved, took_ms: float) -> dict[str, Any]:
    """Return a page as plain values."""
    return {
        "strategy": hits.strategy,
        "complete": hits.complete,
        "matches": hits.matches,
        "more": hits.more,
        "after": hits.after,
        "took_ms": {"resolve": round(resolved.took_ms, 2), "sql": round(hits.took_ms, 2), "total": round(took_ms, 2)},
        "rows": rows(hits),
    }


def rows(hits: Hits) -> list[dict[str, Any]]:
    """Return the rows of a page as plain values."""
    return [
        {
            "image_id": hit.image_id,
            "product_id": hit.product_id,
            "tenant_id": hit.tenant_id,
            "category": hit.category,
            "price": hit.price,
            "title": hit.title,
            "distance": round(hit.distance, 6),
        }
        for hit in hits
    ]


def show(hits: Hits, resolved: Resolved) -> None:
    """Print a page as a table, and one line on how it was found."""
    if not hits:
        output.print("No image matches these filters. Leave one out, or see what is stored: imgsearch status")
        return
    columns: list[str | tuple[str, str]] = [
        "distance",
        "title",
        "category",
        ("price", "right"),
        "tenant",
        ("image", "right"),
    ]
    found = [
        (nearness(h.distance), h.title or h.product_id, h.category, h.price, h.tenant_id, h.image_id) for h in hits
    ]
    output.print(table(columns, found))
    matches = f"more than {hits.matches:,}" if hits.more else f"{hits.matches:,}"
    output.print(
        f"[dim]{len(hits)} of {matches} that match, found by {hits.strategy}, "
        f"{'complete' if hits.complete else 'perhaps not complete'}; "
        f"query {resolved.took_ms:.1f} ms ({resolved.source}), SQL {hits.took_ms:.1f} ms[/]",
        soft_wrap=True,
    )


def _query(text: str | None, picture: Path | None, image_id: int | None, more: list[int], less: list[int]) -> Query:
    things: list[Thing] = [thing for thing in (text, picture) if thing is not None]
    things += [ImageId(one) for one in ([] if image_id is None else [image_id])]
    if len(things) > 1 or not (things or more):
        raise UsageError(
            'Ask with words, or --picture FILE, or --image-id NUMBER; for example imgsearch search "red shoes".'
        )
    things += [ImageId(one) for one in more]
    if len(things) == 1 and not less:
        return things[0]
    return [*((thing, 1.0) for thing in things), *((ImageId(one), -1.0) for one in less)]
