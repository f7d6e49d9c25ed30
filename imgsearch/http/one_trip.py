"""A search that needs nothing told first: with its counts it is one trip to the database, transaction and all.

That is a text whose vector this process remembers, or words alone, with filters of its own; what a key's filters let
be seen, and what examples are, has to be asked. A vector may be one of a space that is searched no more: the search
refuses it then, and the longer way is gone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import Connection, Cursor

from imgsearch.db import sql
from imgsearch.errors import SpaceChanged
from imgsearch.http import access, counts, responses, service
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.service import Found, Question
from imgsearch.http.state import AppState
from imgsearch.query import Resolved
from imgsearch.query.resolution import remembered, words_alone
from imgsearch.retrieval.by_filters import hits_of, values_of

Facets = tuple[responses.Facets | None, float]


def search(state: AppState, asked: SearchRequest) -> tuple[Found, Facets] | None:
    """Return the page of a search and its counts; None where something has to be asked first."""
    resolved = _known(state, asked)
    if resolved is None:
        return None
    page: dict[str, Any] = {name: getattr(asked, name) for name in ("ranking", "k", "skip", "after", "max_distance")}
    page["filters"] = asked.filters
    question = Question(resolved=service.unforgetful(resolved), page=page, resolve_ms=resolved.took_ms)
    values = {**values_of(resolved, **page), "digests": asked.ranking.per != "image"}
    wanted = asked.facets
    counting = None if wanted is None else counts.beside(asked, wanted)
    recent = None if counting is None else state.counts.get(counts.question(counting))

    def send(connection: Connection[Any]) -> Sequence[Cursor[Any]]:
        cursors = [sql.run(connection, "search", "search", values)]
        if counting is not None and recent is None:
            cursors.append(sql.run(connection, "search", "facets", counting))
        return cursors

    began = time.perf_counter()
    try:
        rows, *counted = state.together(access.me().tenant, send)
    except SpaceChanged:
        return None
    took_ms = (time.perf_counter() - began) * 1000
    facets: Facets = (None, 0.0)
    if wanted is not None and counting is not None:
        rows_of_counts = (recent, 0.0) if recent is not None else counts.counted(state, counting, counted[0])
        facets = counts.told(wanted, *rows_of_counts)
    hits = hits_of(rows, took_ms=max(0.0, took_ms - facets[1]), statement="search", truncated=resolved.truncated)
    return service.noted(asked, question, hits, _others(rows)), facets


def _known(state: AppState, asked: SearchRequest) -> Resolved | None:
    """Return the question where it is one of words, and known here."""
    ranking, me = asked.ranking, access.me()
    alone = not (asked.examples or asked.like or asked.unlike or asked.picture_url or asked.best)
    if not alone or asked.text is None or me.limits is not None or ranking.space is not None:
        return None
    if ranking.look_weight == 0:
        return words_alone(asked.text, ranking.words)
    return remembered(state.sessions.address, asked.text, me.tenant)


def _others(rows: Sequence[Mapping[str, Any]]) -> dict[int, tuple[str, bytes]]:
    """Return the tenant of each other picture of the hits and the digest of its bytes, where it is known."""
    return {
        image_id: (row["tenant_id"], bytes(digest))
        for row in rows
        for image_id, digest in zip(row["shown"] or (), row["digests"] or (), strict=True)
        if digest is not None
    }
