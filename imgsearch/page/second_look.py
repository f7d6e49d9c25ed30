"""The page's second look: which ways there are to rank this search anew, and what came of it in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from psycopg import Connection

from imgsearch.db import sql
from imgsearch.http import second_look, service
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.state import AppState
from imgsearch.retrieval.rerank import Reranked

WAYS = ("k_reciprocal", "spatial")
# What the page has a sentence for; of anything else it says that it did not work.
_SAID = ("no_worker", "time_over", "busy", "not_ready", "nothing_to_go_by", "nothing")


def ways(asked: SearchRequest) -> Sequence[str]:
    """Return how the answer to a search may be ranked anew: words have no neighbours, and an order is an order.

    The object is looked for on a picture that is here: of a photo the server keeps its digest and its vector alone.
    """
    if asked.ranking.sort or not (asked.photo or asked.more or asked.products):
        return ()
    return WAYS if asked.more else WAYS[:1]


def fitting(asked: SearchRequest) -> SearchRequest:
    """Return a search without the second look that cannot be had of it."""
    wanted = asked.rerank is not None and asked.rerank.steps[0].name in ways(asked)
    return asked if wanted else replace(asked, rerank=None)


def found(state: AppState, asked: SearchRequest) -> service.Found:
    """Return the page of a search, ranked anew where it asks for that. Raises what a search raises."""
    if asked.rerank is not None:
        return second_look.search(state, asked, asked.rerank)[0]
    with service.session(state, asked) as (connection, given):
        return service.search(connection, asked, given)


def offered(connection: Connection[Any], asked: SearchRequest) -> Sequence[str]:
    """Return the ways that the page shows: those that somebody is there for, or that it was asked with."""
    possible = ways(asked)
    if possible and asked.rerank is None and not sql.rows(connection, "http", "workers")[0]["queries"]:
        return ()
    return possible


def outcome(reranked: Reranked | None) -> tuple[str, int, int] | None:
    """Return (why not, moved, looked at), the first empty where it was ranked anew; None: there is nothing to say."""
    if reranked is None or reranked.code == "behind":
        return None
    if reranked.code is not None:
        return reranked.code if reranked.code in _SAID else "failed", 0, 0
    done = next(one for one in reranked.steps if one.code is None)
    return "", done.moved, done.looked
