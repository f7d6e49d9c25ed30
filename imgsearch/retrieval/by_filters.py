"""Search by filters: one statement, for Python, consoles, CLI and HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, Unpack

from imgsearch import query as questions
from imgsearch import values
from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import FilterError, SpaceChanged
from imgsearch.query import ImageId, Query, Resolved
from imgsearch.query.question import cropped
from imgsearch.retrieval import filters as filtering
from imgsearch.retrieval import ranking as ranked
from imgsearch.retrieval.filters import FilterArguments, Filters
from imgsearch.retrieval.hits import Hit, Hits, place_of
from imgsearch.retrieval.ranking import Ranking, RankingArguments
from imgsearch.retrieval.rerank import Given, Rerank, rerank_of

_HIT = (
    "image_id", "product_id", "tenant_id", "category", "categories", "price", "in_stock", "attributes", "distance",
    "sha256", "match", "pictures", "after", "product_title", "label",
)  # fmt: skip

MOST_IMAGES = 1000  # that a filter leaves out (check_filters() in filter.sql)

Answer = TypeVar("Answer")


class SearchArguments(FilterArguments, RankingArguments, total=False):
    """Filters and ranking as named arguments."""


def search(
    connection: Connectable,
    query: Query,
    *,
    filters: Filters | None = None,
    ranking: Ranking | None = None,
    k: int = 10,
    skip: int = 0,
    after: str | None = None,
    max_distance: float | None = None,
    timeout: float = 10,
    region: Sequence[float] | None = None,
    rerank: Rerank | Given | Sequence[Given] | None = None,
    rerank_timeout: float | None = None,
    **named: Unpack[SearchArguments],
) -> Hits:
    """Return the `k` (1 to 1000) best products that match, each by its nearest picture; `per="image"`: images.

    connection: psycopg, SQLAlchemy or Django; the search joins its transaction. query: see `imgsearch.resolve`; an
    image whose weight is below zero does not come back. `timeout` in seconds bounds the wait for a query worker.
    `region`: only this part of the picture is meant, (x, y, w, h), shares of its sides or pixels.
    Filters come as one value (`filters`), by name (`max_price=50`), or both: see `Filters`; so does how what matches
    is ranked and cut: see `Ranking`.
    Pages: `after=hits.after` continues behind a page and never repeats a row, also while others write; `skip` skips.
    `rerank`: steps by which workers rank the first rows anew, within `rerank_timeout` seconds (docs/rerank.md).

    Raises QueryError, RegionError, VectorError, UnknownImage, PictureError, FilterError, NoSpace, QueryTimeout,
    SpaceChanged.
    """
    query = cropped(query, region)
    wanted, order = split(filters, ranking, named)
    page: dict[str, Any] = {"k": k, "skip": skip, "after": after, "max_distance": max_distance}
    chain = rerank_of(rerank)

    def once() -> Hits:
        # A second look is told the space; else a plain vector needs no round trip of its own.
        alone = chain is None and order.space is None and order.look_weight != 0
        resolved = (questions.of_numbers(query) if alone else None) or asked(connection, query, wanted, order, timeout)
        bound = values_of(resolved, without_twins(connection, wanted, images_in(query)), order, **page)
        if chain is not None:
            from imgsearch.retrieval.asked_again import searched  # only who reranks loads it

            return searched(connection, query, resolved, bound, chain, wanted.tenant, rerank_timeout)
        began = time.perf_counter()
        rows = sql.rows(driver(connection), "search", "search", bound)
        took_ms = (time.perf_counter() - began) * 1000
        return hits_of(rows, took_ms=took_ms, statement="search", truncated=resolved.truncated)

    return asked_anew(connection, once)


def images_in(query: Query) -> list[int]:
    """Return the images that a question names as examples."""
    things = [one[0] if isinstance(one, tuple) else one for one in (query if isinstance(query, list) else [query])]
    return [one.image_id for one in things if isinstance(one, ImageId)]


def without_twins(connection: Connectable, filters: Filters, images: Sequence[int]) -> Filters:
    """Return filters that leave out these images and what is certainly the same, where duplicates are left out.

    Of a picture that is there more often than a filter names images, the nearest.
    """
    if filters.duplicates is not False or not images:
        return filters
    excluded = () if filters.exclude_image_ids is None else filters.exclude_image_ids
    room = MOST_IMAGES - len(values.several(excluded, "exclude_image_ids", FilterError))
    bound = {"images": list(images), "tenant": filters.tenant, "most": max(0, room)}
    return filters.without_images(sql.value(driver(connection), "duplicates", "twins", bound))


def asked_anew(connection: Connectable, search_once: Callable[[], Answer]) -> Answer:
    """Search, and once more where another model took over between the question and the search.

    Only where each statement commits by itself: in a transaction the question holds the searched space, so it cannot
    happen there, but with a `Resolved` of before: that raises SpaceChanged.
    """
    try:
        return search_once()
    except SpaceChanged:
        if not driver(connection).autocommit:
            raise
        return search_once()


def hits_of(rows: Sequence[dict[str, Any]], *, took_ms: float, statement: str, truncated: str | None) -> Hits:
    """Return the rows of a statement of search.sql as a page."""
    first = rows[0]
    found = (row for row in rows if row["image_id"] is not None)
    return Hits(
        (_hit(row) for row in found),
        strategy=first["strategy"],
        complete=first["complete"],
        matches=first["matches"],
        matching_images=first["matching_images"],
        more=first["more"],
        took_ms=took_ms,
        sql=sql.statements("search")[statement],
        truncated=truncated,
    )


def _hit(row: dict[str, Any]) -> Hit:
    box = row["box"]
    return Hit(
        **{name: row[name] for name in _HIT},
        others=tuple(row["others"] or ()),
        box=None if box is None else (box[0], box[1], box[2], box[3]),
    )


def split(
    filters: Filters | None, ranking: Ranking | None, named: SearchArguments | dict[str, Any]
) -> tuple[Filters, Ranking]:
    """Return filters and ranking, each with the named arguments that are its own. Raises FilterError."""
    own = {name: value for name, value in named.items() if name in ranked.NAMES}
    others = {name: value for name, value in named.items() if name not in ranked.NAMES}
    return filtering.merged(filters, others), ranked.merged(ranking, own)


def asked(connection: Connectable, query: Query, filters: Filters, ranking: Ranking, timeout: float) -> Resolved:
    """Return the question as a vector, or as its words where looks count nothing: then no worker is asked."""
    if ranking.look_weight == 0:
        return questions.words_alone(query, ranking.words)
    space = None
    if ranking.space is not None and not isinstance(query, Resolved):
        space = space_of(connection, ranking.space)
    return questions.resolve(connection, query, timeout=timeout, tenant=filters.tenant, space=space)


def space_of(connection: Connectable, name: str) -> int:
    """Return the number of a space that can be searched. Raises UnknownSpace, SpaceNotFull."""
    return int(sql.value(driver(connection), "query", "space", {"name": name}))


def values_of(
    resolved: Resolved,
    filters: Filters,
    ranking: Ranking | None = None,
    *,
    k: int = 10,
    skip: int = 0,
    after: str | None = None,
    max_distance: float | None = None,
) -> dict[str, Any]:
    """Return what the statements of search.sql and explain.sql bind; what was rejected is left out.

    Raises FilterError for an `after` that no page gave.
    """
    place_of(after)  # here, for the driver refuses some of what is no place in words of its own
    asked: dict[str, Any] = {"kind": resolved.kind, "words": resolved.words, "key": resolved.key}
    return {
        "vector": resolved.vector or None,
        "filters": filters.without_images(resolved.rejected).without_products(resolved.products).as_json(),
        "ranking": (ranking or Ranking()).as_json(),
        "question": json.dumps({name: value for name, value in asked.items() if value is not None}),
        **page_of(k, skip, max_distance),
        "after": after,
        "space": resolved.space_id or None,
        "digests": False,
    }


def page_of(k: object, skip: object, max_distance: object) -> dict[str, Any]:
    """Return which page as statements bind it; the database says within which bounds. Raises FilterError."""
    most = 2**31 - 1
    return {
        "k": values.whole(k, "k", -most, most, FilterError),
        "skip": values.whole(skip, "skip", -most, most, FilterError),
        "max_distance": None
        if max_distance is None
        else values.number(max_distance, "max_distance", -1e300, 1e300, FilterError),
    }
