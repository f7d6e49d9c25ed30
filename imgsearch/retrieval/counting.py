"""Facets: how many products each further filter would leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, Unpack

from imgsearch import values
from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import FilterError
from imgsearch.retrieval.filters import FilterArguments, Filters, merged


@dataclass(frozen=True, kw_only=True)
class Facet:
    """One count. `facet`: matches, images (of these), tenant, category, in_stock, price or attribute.

    name: of the attribute; value: as text; low, high: of a band of prices, low ≤ price < high, None where it is open.
    approximate: counted in a sample, because very many match; in 95 of 100 cases it is at most `error` off.
    """

    facet: str
    name: str | None
    value: str | None
    low: float | None
    high: float | None
    count: int
    approximate: bool
    error: int = 0


_FIELDS = tuple(one.name for one in fields(Facet))


def facets(
    connection: Connectable,
    *,
    filters: Filters | None = None,
    per: Literal["product", "image"] = "product",
    prices: Sequence[float] | None = None,
    attribute_names: Sequence[str] | None = None,
    exact: bool = False,
    **named: Unpack[FilterArguments],
) -> list[Facet]:
    """Return how many products (or images) match the filters, and how many each further filter would leave of them.

    prices: your own bounds, ascending; None: bounds that share out what matches. attribute_names: those to be counted,
    () for none; None: those that are most often there. A filter that is set does not narrow its own facet.
    exact: count all, also where very many match; else some of them, and each count says how far off it may be.

    Raises FilterError, UsageError, NoSpace.
    """
    numbers = None if prices is None else values.several(prices, "prices", FilterError)
    bound = {
        "filters": merged(filters, named).as_json(),
        "per": values.text(per, "per", values.NAME, FilterError),
        "prices": numbers and [values.number(price, "prices", -1e300, 1e300, FilterError) for price in numbers],
        "names": None if attribute_names is None else values.keys(attribute_names, "attribute_names", FilterError),
        "exact": values.truth(exact, "exact", FilterError),
    }
    return [
        Facet(**{name: row[name] for name in _FIELDS})
        for row in sql.rows(driver(connection), "search", "facets", bound)
    ]
