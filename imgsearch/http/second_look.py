"""A search with a second look over HTTP: while a worker looks, no connection is held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from imgsearch.errors import Busy
from imgsearch.http import access, counts, pictures, responses, service
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.state import AppState
from imgsearch.query import ImageId
from imgsearch.query.looking import Asker, Looked
from imgsearch.retrieval.by_filters import values_of
from imgsearch.retrieval.rerank import Rerank
from imgsearch.retrieval.second_look import (
    Ordered,
    Wanted,
    first,
    looked,
    next_page,
    page_of,
    things_of,
    ticket_in,
)

Facets = tuple[responses.Facets | None, float]


def search(state: AppState, asked: SearchRequest, rerank: Rerank) -> tuple[service.Found, Facets]:
    """Return the page of a search that is ranked anew, and its counts. Raises what a search raises."""
    if rerank.pictures and asked.picture_url is not None:  # fetched once, for the vector and for the steps
        asked = replace(asked, picture=pictures.picture_of(state, asked), picture_url=None)
    with service.session(state, asked) as (connection, given):
        question = service.question_of(connection, asked, given)
        facets = counts.facets(state, connection, asked)
        values = values_of(question.resolved, **question.page)
        wanted = Wanted(values=values, rerank=rerank, resolved=question.resolved, **_seen_of(asked))
        tenant = access.me().tenant or asked.filters.tenant or ""
        asker = Asker(dsn=connection.info.dsn, password=connection.info.password, tenant=tenant)
        ordered = None if ticket_in(asked.after) else first(connection, wanted)
    if ordered is not None:
        ordered = _looked(state, ordered, asker)
    with state.session(access.me().tenant) as connection:
        if ordered is None:
            hits = next_page(connection, wanted, state.waiting.beside(asker))
        else:
            hits = page_of(connection, ordered)
        return service.found_of(connection, asked, question, hits), facets


def _looked(state: AppState, ordered: Ordered, asker: Asker) -> Ordered:
    def waited(asked: Mapping[str, Any], picture: bytes | None) -> Looked:
        try:
            return state.waiting.look(asker, asked, picture, state.settings.rerank_timeout)
        except Busy:
            return Looked(code="busy")

    return looked(ordered, waited)


def _seen_of(asked: SearchRequest) -> dict[str, Any]:
    """Return what steps may see of a question besides its vector and its words."""
    if asked.picture is not None:
        return {"picture": asked.picture, "region": None if asked.region is None else str(asked.region)}
    return things_of([*((ImageId(one), 1.0) for one in asked.more), *asked.like])
