"""How a search was answered, in words: which way, why, how much was looked at, and what would make it faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import UsageError
from imgsearch.query import Query
from imgsearch.retrieval import plan
from imgsearch.retrieval.by_filters import asked, split, values_of
from imgsearch.retrieval.filters import Filters
from imgsearch.retrieval.ranking import Ranking

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.orm import Session

_PAGE = ("k", "skip", "after", "max_distance")


def explain(
    connection: Connectable,
    query: Query | Select[Any],
    *,
    timeout: float = 10,
    filters: Filters | None = None,
    ranking: Ranking | None = None,
    **named: Any,
) -> list[str]:
    """Return in lines of words how `search()` with the same arguments is answered, by running it.

    A SELECT made by `nearest()` is explained from its plan; it needs a SQLAlchemy session or connection and takes no
    filters. Raises what `search()` raises, and UsageError for filters beside a SELECT.
    """
    if hasattr(query, "get_final_froms"):
        if filters or ranking or named:
            raise UsageError("A select brings its own filters; leave the others out.")
        lines = plan.words(plan.of_select(cast("Session", connection), cast("Select[Any]", query)))
        return lines + [row["explanation"] for row in sql.rows(driver(connection), "explain", "slows")]
    lent = driver(connection)
    page = {name: named.pop(name) for name in _PAGE if name in named}
    wanted, order = split(filters, ranking, named)
    resolved = asked(connection, query, wanted, order, timeout)
    values = values_of(resolved, wanted, order, **page)
    lines = [row["explanation"] for row in sql.rows(lent, "explain", "explain", values)]
    return [*lines[:1], plan.pages(sql.value(lent, "explain", "pages", values)[0]["Plan"]), *lines[1:]]
