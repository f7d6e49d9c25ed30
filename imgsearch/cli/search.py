"""`imgsearch search`: search by words, a picture or a stored image, with filters."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any, cast

import typer

from imgsearch import db
from imgsearch.cli.console import as_json, nearness, output, table
from imgsearch.cli.filters import with_filters
from imgsearch.cli.likes import LIKE, example_of
from imgsearch.cli.ranking import with_ranking
from imgsearch.cli.second_look import DRAW, RERANK, chain_of, said
from imgsearch.cli.second_look import draw as drawn
from imgsearch.errors import RegionError, UsageError
from imgsearch.ingest.wakeup import notify_workers
from imgsearch.query import Crop, ImageId, ProductId, Resolved, Thing, resolve, words_alone
from imgsearch.retrieval import Filters, Hits, Ranking
from imgsearch.retrieval import explain as found_how
from imgsearch.retrieval import search as find
from imgsearch.retrieval.by_filters import asked
from imgsearch.retrieval.recommendation import Strategy, explain_recommend, recommend
from imgsearch.settings import load_settings
from imgsearch.storage import open_store

Example = tuple[Thing, float]


@with_ranking
@with_filters
def search(
    text: str = typer.Argument(None, help='Words, for example "red canvas shoes".'),
    picture: Path = typer.Option(None, "--picture", "--image", help="A picture file to search by."),
    image_id: int = typer.Option(None, "--image-id", help="A stored image to search by."),
    region: str = typer.Option(
        None, "--region", help="Only this part of the picture: x,y,w,h as shares from 0 to 1, or in pixels."
    ),
    more_like: list[int] = typer.Option(None, "--more-like", help="Also like this stored image; repeat for several."),
    less_like: list[int] = typer.Option(
        None, "--less-like", help="Not this stored image: it and what looks like it give way; repeat for several."
    ),
    like_product: str = typer.Option(None, "--like-product", help="Products similar to this one, by all its pictures."),
    like: list[str] = typer.Option(None, "--like", help=f"What is liked; its products are left out: {LIKE}"),
    unlike: list[str] = typer.Option(None, "--unlike", help="What is not liked, written the same way."),
    strategy: str = typer.Option(
        "centroid",
        "--strategy",
        help="Of several examples: centroid, near to their middle, or best, near to any of them.",
    ),
    filters: Filters = Filters(),
    ranking: Ranking = Ranking(),
    k: int = typer.Option(10, "--k", "-k", help="How many, from 1 to 1000."),
    skip: int = typer.Option(0, "--skip", help="Skip this many of the nearest."),
    after: str = typer.Option(None, "--after", help="Continue after a page: its `after`, as --json shows it."),
    max_distance: float | None = typer.Option(None, "--max-distance", help="Only up to this distance, from 0 to 2."),
    rerank: list[str] = RERANK,
    draw: Path = DRAW,
    explain: bool = typer.Option(False, "--explain", help="Explain in words how the images were found."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Search by words, a picture or a stored image, with filters, in one SQL statement."""
    images = [image_id] if image_id is not None else []
    near, far = _examples(text, picture, images, region, more_like or [], less_like or [])
    liked = [*([(ProductId(like_product), 1.0)] if like_product else []), *map(example_of, like or [])]
    disliked = list(map(example_of, unlike or []))
    recommending = bool(liked or disliked) or strategy != "centroid"
    if recommending and (max_distance is not None or ranking.space or rerank):
        raise UsageError(
            "Recommendations (--like, --unlike, --strategy) take neither --max-distance, --space nor --rerank."
        )
    chain = chain_of(rerank)
    if not (near or liked):
        raise UsageError(
            'Ask with words, or --picture FILE, or --image-id NUMBER; for example imgsearch search "red shoes".'
        )
    settings = load_settings()
    page: dict[str, Any] = {"filters": filters, "ranking": ranking, "k": k, "skip": skip, "after": after}
    began = time.perf_counter()
    with db.connect(settings) as connection:
        # Sessions of one command: plans must follow the filters, never an average of them.
        notify = partial(notify_workers, settings, "queries")
        known = partial(resolve, connection, timeout=settings.query_timeout, tenant=filters.tenant, notify=notify)
        words: list[str] = []
        if recommending:
            # Images are left as they are: whoever likes one has seen its product.
            likes, unlikes = (
                [(one if isinstance(one, ImageId) else known(one), weight) for one, weight in examples]
                for examples in ([*near, *liked], [*far, *disliked])
            )
            resolved = known(likes[0][0])
            way = cast("Strategy", strategy)
            hits = recommend(connection, likes, unlikes, strategy=way, **page)
            words = explain_recommend(connection, likes, unlikes, strategy=way, **page) if explain else []
        else:
            query = near[0][0] if len(near) == 1 and not far else [*near, *((one, -weight) for one, weight in far)]
            if ranking.space is not None:
                resolved = asked(connection, query, filters, ranking, settings.query_timeout)
            else:
                resolved = words_alone(text, ranking.words) if ranking.look_weight == 0 else known(query)
            if chain is not None:  # its steps see the picture itself; the vector is known by now
                again: dict[str, Any] = {"rerank": chain, "rerank_timeout": settings.rerank_timeout}
                hits = find(connection, query, max_distance=max_distance, **page, **again)
            else:
                hits = find(connection, resolved, max_distance=max_distance, **page)
            words = found_how(connection, resolved, max_distance=max_distance, **page) if explain else []
    took_ms = (time.perf_counter() - began) * 1000
    if draw is not None:
        drawn(hits, picture, open_store(settings.storage_url), draw)
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
        "doubtful": hits.doubtful,
        "truncated": hits.truncated,
        "reranked": None if hits.reranked is None else hits.reranked.as_plain(),
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
            "match": None if hit.match is None else round(hit.match, 4),
            "pictures": hit.pictures,
            "look": hit.look,
            "box": hit.box,
            "label": hit.label,
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
    if hits.doubtful:
        output.print("Doubtful: each of these is likelier not to fit than to fit.")
    if hits.truncated:
        output.print(hits.truncated)
    if line := said(hits):
        output.print(line, markup=False, soft_wrap=True)


def _examples(
    text: str | None, picture: Path | None, image: list[int], region: str | None, more: list[int], less: list[int]
) -> tuple[list[Example], list[Example]]:
    """Return what to be near to and far from, each with its weight. Raises UsageError for words beside a picture."""
    first: list[Thing] = [thing for thing in (text, picture) if thing is not None]
    first += map(ImageId, image)
    if len(first) > 1:
        raise UsageError("Ask with words, a picture or an image; add others with --like, each with a weight.")
    if region is not None:
        if not first or isinstance(first[0], str):
            raise RegionError("--region is of a picture; name one with --picture or --image-id.")
        first = [Crop(cast("Path | ImageId", first[0]), region.split(","))]  # type: ignore[arg-type]  # Region reads them
    return [(one, 1.0) for one in (*first, *map(ImageId, more))], [(ImageId(one), 1.0) for one in less]
