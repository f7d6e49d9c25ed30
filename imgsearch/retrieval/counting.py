"""Facets: how many products each further filter would leave.

Counts are kept in this process, with the stamp of the state that they were counted in. The database is asked each
time whether that still is the state of things, in the snapshot in which it would count: what is kept is never out of
date.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from threading import Lock
from typing import Any, Literal, Unpack

from imgsearch import values
from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import FilterError
from imgsearch.query.memory import database_of
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


REMEMBERED = 256  # answers kept in this process: about 100 kB each where they are long
Rows = Sequence[Mapping[str, Any]]
_kept: OrderedDict[tuple[str, str], tuple[str, Rows]] = OrderedDict()
_lock = Lock()


class Counting:
    """One question for counts: what the statement `facets` binds, and the rows of its answer, kept or counted."""

    def __init__(self, database: str, bound: Mapping[str, Any]) -> None:
        self._key = (database, repr(sorted(bound.items())))
        with _lock:
            self._before = _kept.get(self._key)
        self.values = {**bound, "known": self._before[0] if self._before else None}
        self.counted = True  # whether the database counted, once the rows are there

    def rows(self, found: Rows) -> Rows:
        """Return the counts out of what the statement found."""
        if self._before and len(found) == 1 and found[0]["facet"] is None:
            self.counted = False
            found = self._before[1]
        stamp = self.values["known"] if not self.counted else found[0]["stamp"] if found else None
        if stamp is not None:
            with _lock:
                _kept[self._key] = (stamp, found)
                _kept.move_to_end(self._key)
                while len(_kept) > REMEMBERED:
                    _kept.popitem(last=False)
        return found


def rows_of(connection: Connectable, bound: Mapping[str, Any]) -> Rows:
    """Return the rows of the statement `facets`, out of this process's memory where they are right."""
    lent = driver(connection)
    counting = Counting(database_of(lent), bound)
    return counting.rows(sql.rows(lent, "search", "facets", counting.values))


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
    return [Facet(**{name: row[name] for name in _FIELDS}) for row in rows_of(connection, bound)]
