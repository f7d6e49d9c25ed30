"""A small shop of products with titles, and what its words find."""

from __future__ import annotations

from json import dumps
from typing import Any, NamedTuple

import psycopg

Connection = psycopg.Connection[Any]


class Found(NamedTuple):
    """A row of words_found()."""

    tenant: str
    product: str
    image: int
    place: int
    exact: bool
    whole: bool
    more: bool | None
    lacks: float
    tells: float


def put(
    connection: Connection,
    titles: dict[str, str],
    *,
    tenant: str = "acme",
    price: float | None = None,
    category: str | None = None,
) -> None:
    """Store products with one picture and a title each."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO imgsearch.image (tenant_id, product_id, uri, price, category)"
            " VALUES (%s, %s, 'store:x', %s, %s)",
            [(tenant, product, price, category) for product in titles],
        )
        cursor.executemany(
            "INSERT INTO imgsearch.product (tenant_id, product_id, title) VALUES (%s, %s, %s)",
            [(tenant, product, title) for product, title in titles.items()],
        )


def found(
    connection: Connection, words: str, *, tenant: str | None = "acme", most: int = 100, enough: int = 1, **filters: Any
) -> list[Found]:
    """Return what words_found() does."""
    rows = connection.execute(
        "SELECT w.* FROM imgsearch_internal.filter_sql(imgsearch.filters_of(%s::jsonb)) m,"
        " imgsearch_internal.words_found(m, ROW(m.names, m.vals, NULL, NULL, NULL)::imgsearch_internal.bound,"
        " %s, %s, %s) w",
        (dumps({"tenant": tenant, **filters} if tenant else filters), words, most, enough),
    ).fetchall()
    return [Found(*row) for row in rows]


def products(rows: list[Found]) -> list[str]:
    return [row.product for row in rows]
