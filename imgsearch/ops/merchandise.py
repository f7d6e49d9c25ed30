"""Merchandise: what a shop pins to the top of its answers, and what it hides, for a text, a category, or always."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from imgsearch import values
from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver


@dataclass(frozen=True, kw_only=True)
class Merchandise:
    """A product that is pinned at a place (1 stands first), or hidden where that is None.

    `query` in the form in which questions are compared (small letters, no punctuation), `category`: "" is any.
    """

    tenant_id: str
    query: str
    category: str
    product_id: str
    place: int | None
    created_at: datetime


def pin(
    connection: Connectable, *, tenant: str, product_id: str, query: str = "", category: str = "", place: int = 1
) -> None:
    """Pin a product to the top, at most 25 for each query and category. Raises FilterError, UsageError."""
    bound = _bound(tenant, product_id, query, category) | {"place": values.whole(place, "place", -1, 2**31 - 1)}
    sql.run(driver(connection), "merchandise", "pin", bound)


def hide(connection: Connectable, *, tenant: str, product_id: str, query: str = "", category: str = "") -> None:
    """Hide a product, at most 200 for each query and category. Raises FilterError, UsageError."""
    sql.run(driver(connection), "merchandise", "hide", _bound(tenant, product_id, query, category))


def unpin(
    connection: Connectable,
    *,
    tenant: str,
    product_id: str | None = None,
    query: str | None = None,
    category: str | None = None,
) -> int:
    """Take back what was pinned or hidden of a product, for a query, for a category (None: any); return how many."""
    bound = _bound(tenant, product_id, query, category, values.named)
    return int(sql.value(driver(connection), "merchandise", "unpin", bound))


def listed(connection: Connectable, tenant: str | None = None) -> list[Merchandise]:
    """Return what is pinned and hidden, of a tenant or of all."""
    bound = {"tenant": tenant if tenant is None else values.named(tenant, "tenant")}
    return [Merchandise(**row) for row in sql.rows(driver(connection), "merchandise", "all", bound)]


def _bound(
    tenant: object,
    product_id: object,
    query: object,
    category: object,
    name: Callable[[object, str], str] = values.key,
) -> dict[str, Any]:
    """Return what is meant as statements bind it; the database says how long a query may be. Raises UsageError."""
    return {
        "tenant": name(tenant, "tenant"),
        "product_id": None if product_id is None else name(product_id, "product_id"),
        "query": None if query is None else values.text(query, "query", values.VALUE),
        "category": None if category is None else values.line(category, "category"),
    }
