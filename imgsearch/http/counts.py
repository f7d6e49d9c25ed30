"""Counts beside a search: what each further filter would leave, and the list of one facet's values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg import Connection

from imgsearch.db import sql
from imgsearch.http import access, caps, requests, responses
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.state import AppState
from imgsearch.retrieval.filters import Filters
from imgsearch.retrieval.ranking import Per

Rows = Sequence[Mapping[str, Any]]


def facets(state: AppState, connection: Connection[Any], asked: SearchRequest) -> tuple[responses.Facets | None, float]:
    """Return the counts that a search asks for, under its own filters, and the milliseconds they took."""
    wanted = asked.facets
    if wanted is None:
        return None, 0.0
    return told(wanted, *rows(state, connection, beside(asked, wanted)))


def beside(asked: SearchRequest, wanted: requests.WantedFacets) -> dict[str, Any]:
    """Return what the statement `facets` binds beside a search."""
    values = bound(asked.matching, asked.ranking.per or "product")
    return {**values, "prices": wanted.bands, "names": wanted.names, "exact": wanted.exact}


def rows(state: AppState, connection: Connection[Any], values: Mapping[str, Any]) -> tuple[Rows, float]:
    """Return the rows of the statement `facets`, told again for a moment, and the milliseconds they took."""
    recent = state.counts.get(question(values))
    if recent is not None:
        return recent, 0.0
    return counted(state, values, sql.rows(connection, "search", "facets", values))


def question(values: Mapping[str, Any]) -> str:
    """Return what stands for a question for counts: what it binds, and the tenant whose wall it is behind."""
    return repr((access.me().tenant, sorted(values.items())))


def counted(state: AppState, values: Mapping[str, Any], rows: Rows) -> tuple[Rows, float]:
    """Remember what the database counted; return it, and the milliseconds it took."""
    state.counts.keep(question(values), rows)
    return rows, max((row["took_ms"] for row in rows), default=0.0)


def told(wanted: requests.WantedFacets, rows: Rows, took_ms: float) -> tuple[responses.Facets, float]:
    """Return counts as the API sends them, and the milliseconds they took."""
    facets = responses.Facets(
        category=_counts(rows, "category") if wanted.category else [],
        in_stock=_counts(rows, "in_stock") if wanted.in_stock else [],
        price=_bands(rows) if wanted.price else [],
        attributes=_attributes(rows),
    )
    return facets, took_ms


def choices(connection: Connection[Any], given: requests.Choices, asked: SearchRequest) -> responses.ChoiceList:
    """Return the values of one facet that contain a text."""
    values = {"facet": given.facet, "name": given.name, "contains": given.contains, "k": given.k}
    rows = sql.rows(connection, "http", "choices", {**bound(asked.filters, given.per), **values})
    different = rows[0]["different"] if rows else 0
    return responses.ChoiceList(different=different, values=[_count(row) for row in rows])


def bound(filters: Filters, per: Per = "product") -> dict[str, Any]:
    """Return the values that the statements `facets` and `choices` bind, within what may be seen."""
    asked = {"filters": access.within(filters).as_json(), "per": per}
    return {**asked, "prices": None, "names": None, "exact": False, "k": caps.CHOICE_VALUES}


def _counts(rows: Iterable[Mapping[str, Any]], facet: str) -> list[responses.Count]:
    return [_count(row) for row in rows if row["facet"] == facet]


def _count(row: Mapping[str, Any]) -> responses.Count:
    return responses.Count(
        value=row["value"], count=row["count"], approximate=row["approximate"], error=row.get("error")
    )


def _bands(rows: Iterable[Mapping[str, Any]]) -> list[responses.Band]:
    names = ("low", "high", "count", "approximate", "error")
    return [responses.Band(**{name: row[name] for name in names}) for row in rows if row["facet"] == "price"]


def _attributes(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[responses.Count]]:
    found: dict[str, list[responses.Count]] = {}
    for row in rows:
        if row["facet"] == "attribute":
            found.setdefault(row["name"], []).append(_count(row))
    return found
