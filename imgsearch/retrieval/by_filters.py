"""Search by filters: one statement, for Python, consoles, CLI and HTTP."""

from __future__ import annotations

import time
from typing import Any, Unpack

from imgsearch import query as questions
from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.query import Query, Resolved
from imgsearch.retrieval.filters import FilterArguments, Filters, merged
from imgsearch.retrieval.hits import Hit, Hits

_HIT = ("image_id", "product_id", "tenant_id", "category", "price", "in_stock", "attributes", "distance", "sha256")


def search(
    connection: Connectable,
    query: Query,
    *,
    filters: Filters | None = None,
    k: int = 10,
    skip: int = 0,
    after: str | None = None,
    max_distance: float | None = None,
    timeout: float = 10,
    **named: Unpack[FilterArguments],
) -> Hits:
    """Return the `k` (1 to 1000) nearest images that match, on the caller's connection and in its transaction.

    connection: psycopg, SQLAlchemy or Django. query: see `imgsearch.resolve`; an image whose weight is below zero does
    not come back. `timeout` in seconds bounds the wait for a query worker. Filters come as one value (`filters`), by
    name (`max_price=50`), or both: see `Filters`.
    Pages: `after=hits.after` continues behind a page and never repeats an image, also while others write; `skip` skips.

    Raises QueryError, VectorError, UnknownImage, PictureError, FilterError, NoSpace, QueryTimeout.
    """
    wanted = merged(filters, named)
    resolved = questions.resolve(connection, query, timeout=timeout, tenant=wanted.tenant)
    values = values_of(resolved, wanted, k=k, skip=skip, after=after, max_distance=max_distance)
    began = time.perf_counter()
    rows = sql.rows(driver(connection), "search", "search", values)
    took_ms = (time.perf_counter() - began) * 1000
    first = rows[0]
    return Hits(
        (Hit(**{name: row[name] for name in _HIT}) for row in rows if row["image_id"] is not None),
        strategy=first["strategy"],
        complete=first["complete"],
        matches=first["matches"],
        more=first["more"],
        took_ms=took_ms,
        sql=sql.statements("search")["search"],
    )


def values_of(
    resolved: Resolved,
    filters: Filters,
    *,
    k: int = 10,
    skip: int = 0,
    after: str | None = None,
    max_distance: float | None = None,
) -> dict[str, Any]:
    """Return what the statements of search.sql and explain.sql bind; what was rejected is left out."""
    page = {"k": k, "skip": skip, "after": after, "max_distance": max_distance}
    return {"vector": resolved.vector, "filters": filters.without_images(resolved.rejected).as_json(), **page}
