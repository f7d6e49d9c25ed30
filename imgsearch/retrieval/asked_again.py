"""A search with a second look, for whoever lends a connection: it is asked, waited for and shown in one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.db.run_blocking import run_blocking
from imgsearch.query import Query, Resolved
from imgsearch.query.looking import Asker, Looked, look
from imgsearch.retrieval.hits import Hits
from imgsearch.retrieval.rerank import Rerank
from imgsearch.retrieval.second_look import Wanted, first, looked, next_page, page_of, things_of, ticket_in
from imgsearch.settings import process_settings


def searched(
    connection: Connectable,
    query: Query,
    resolved: Resolved,
    values: Mapping[str, Any],
    rerank: Rerank,
    tenant: str | None,
    timeout: float | None,
) -> Hits:
    """Return a page of a search that is ranked anew. Raises FilterError, and what the search raises."""
    lent = driver(connection)
    whose = sql.value(lent, "look", "whose") or tenant or ""
    asker = Asker(dsn=lent.info.dsn, password=lent.info.password, tenant=whose, own=lent)
    wanted = Wanted(values=values, rerank=rerank, resolved=resolved, **things_of(query))
    if ticket_in(values["after"]):
        return next_page(connection, wanted, asker)
    seconds = process_settings().rerank_timeout if timeout is None else timeout

    def waited(asked: Mapping[str, Any], picture: bytes | None) -> Looked:
        # The caller's transaction must not be committed, nor its event loop be held up.
        return run_blocking(lent, lambda _: look(asker, asked, picture, seconds))

    return page_of(connection, looked(first(connection, wanted), waited))
