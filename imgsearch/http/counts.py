"""Counts beside a search: what each further filter would leave, and the list of one facet's values."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from psycopg import Connection

from imgsearch.db import sql
from imgsearch.http import requests, responses, service
from imgsearch.http.search_request import SearchRequest


def facets(connection: Connection[Any], asked: SearchRequest) -> tuple[responses.Facets | None, float]:
    """Return the counts that a search asks for, under its own filters, and the milliseconds they took."""
    wanted = asked.facets
    if wanted is None:
        return None, 0.0
    began = time.perf_counter()
    given = {
        **service.bound(asked.matching, asked.ranking.per or "product"),
        "prices": wanted.bands,
        "names": wanted.names,
    }
    rows = sql.rows(connection, "http", "facets", given)
    found = responses.Facets(
        category=_counts(rows, "category") if wanted.category else [],
        in_stock=_counts(rows, "in_stock") if wanted.in_stock else [],
        price=_bands(rows) if wanted.price else [],
        attributes=_attributes(rows),
    )
    return found, (time.perf_counter() - began) * 1000


def choices(connection: Connection[Any], given: requests.Choices, asked: SearchRequest) -> responses.ChoiceList:
    """Return the values of one facet that contain a text."""
    values = {"facet": given.facet, "name": given.name, "contains": given.contains, "k": given.k}
    rows = sql.rows(connection, "http", "choices", {**service.bound(asked.filters, given.per), **values})
    different = rows[0]["different"] if rows else 0
    return responses.ChoiceList(different=different, values=[_count(row) for row in rows])


def _counts(rows: Iterable[Mapping[str, Any]], facet: str) -> list[responses.Count]:
    return [_count(row) for row in rows if row["facet"] == facet]


def _count(row: Mapping[str, Any]) -> responses.Count:
    return responses.Count(value=row["value"], count=row["count"], approximate=row["approximate"])


def _bands(rows: Iterable[Mapping[str, Any]]) -> list[responses.Band]:
    names = ("low", "high", "count", "approximate")
    return [responses.Band(**{name: row[name] for name in names}) for row in rows if row["facet"] == "price"]


def _attributes(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[responses.Count]]:
    found: dict[str, list[responses.Count]] = {}
    for row in rows:
        if row["facet"] == "attribute":
            found.setdefault(row["name"], []).append(_count(row))
    return found
