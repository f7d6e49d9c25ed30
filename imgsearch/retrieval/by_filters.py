"""Search by named filters: one statement, `imgsearch.find`, for consoles, CLI and HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from imgsearch import query as questions
from imgsearch.db import sql
from imgsearch.db.psycopg_connection import driver
from imgsearch.query import Query, Resolved
from imgsearch.retrieval.hits import Hit, Hits

_HIT = ("image_id", "product_id", "tenant_id", "category", "price", "in_stock", "attributes", "distance")


def search(
    connection: Any,
    query: Query,
    *,
    tenant: str | None = None,
    category: str | Sequence[str] | None = None,
    min_price: float | None = None,
    max_price: float | None = None,
    in_stock: bool | None = None,
    attributes: Mapping[str, Any] | None = None,
    k: int = 10,
    offset: int = 0,
    after: tuple[float, int] | None = None,
    max_distance: float | None = None,
    timeout: float = 10,
) -> Hits:
    """Answer the `k` (1 to 1000) nearest pictures that match, on the caller's connection and in its transaction.

    connection: psycopg, SQLAlchemy or Django. query: see `imgsearch.query.resolve`; `timeout` in seconds bounds the
    wait for a query worker. attributes: {name: value}, {name: [one, of]}, {name: {operator: value}} with the operators
    is, not, in, not_in, has, min, max, above, below, exists. Pages: `after=hits.after` continues behind a page and
    never repeats a picture, also while others write; `offset` skips.

    Raises QueryError, VectorError, UnknownImage, PictureError, FilterError, NoSpace, QueryTimeout.
    """
    resolved = questions.resolve(connection, query, timeout=timeout, tenant=tenant)
    values = values_of(
        resolved,
        tenant=tenant,
        category=category,
        min_price=min_price,
        max_price=max_price,
        in_stock=in_stock,
        attributes=attributes,
        k=k,
        offset=offset,
        after=after,
        max_distance=max_distance,
    )
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
    *,
    tenant: str | None = None,
    category: str | Sequence[str] | None = None,
    min_price: float | None = None,
    max_price: float | None = None,
    in_stock: bool | None = None,
    attributes: Mapping[str, Any] | None = None,
    k: int = 10,
    offset: int = 0,
    after: tuple[float, int] | None = None,
    max_distance: float | None = None,
) -> dict[str, Any]:
    """Answer what the statement binds for these filters."""
    return {
        "vector": resolved.vector,
        "tenant": tenant,
        "categories": [category] if isinstance(category, str) else None if category is None else list(category),
        "min_price": min_price,
        "max_price": max_price,
        "in_stock": in_stock,
        "attributes": None if attributes is None else json.dumps(attributes),
        "k": k,
        "skip": offset,
        "after_distance": after[0] if after else None,
        "after_image": after[1] if after else None,
        "max_distance": max_distance,
    }
