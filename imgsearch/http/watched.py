"""What is noted of each search: its numbers for metrics, and a line in the log where it was slow.

The line says how it was searched and by which filters, not for what: neither texts nor values, unless
IMGSEARCH_SLOW_SEARCH_TEXTS is `shown`. The explanation is made when the answer is under way, at most once in a while,
for it runs the search again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from flask import Response, g

from imgsearch.db import sql
from imgsearch.errors import ImgsearchError
from imgsearch.http import access
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.state import AppState, app_state
from imgsearch.query import Resolved
from imgsearch.retrieval import Hits
from imgsearch.retrieval.by_filters import values_of
from imgsearch.values import printable_json

log = logging.getLogger("imgsearch.slow")
_TELLS = {"found", "way", "share", "reason", "parameters"}  # of an explanation: figures and words of ours alone
_CUTS = ("cutoff", "min_match", "space", "words")  # what may leave out some of what matches


def note(asked: SearchRequest, hits: Hits, resolved: Resolved, resolve_ms: float, page: Mapping[str, Any]) -> None:
    """Note a search of this request; `page`: the filters, the ranking and the page that it was run with."""
    state = app_state()
    state.metrics.searched(hits.strategy, outcome(asked, hits), hits.took_ms / 1000)
    if resolved.kind in ("text", "picture") and resolved.vector:
        state.metrics.resolved(resolved.source, resolve_ms / 1000)
    if not state.slow_searches.is_slow(hits.took_ms):
        return
    state.metrics.slow()
    if since := state.slow_searches.turn():
        line = said(asked, hits, resolved, resolve_ms, page) | {"slow_since_last_line": since}
        if state.settings.slow_search_texts == "shown":
            line |= {"text": asked.text, "filters": json.loads(page["filters"].as_json() or "{}")}
        g.imgsearch_slow = (access.me().tenant, line, values_of(resolved, **page))


def outcome(asked: SearchRequest, hits: Hits) -> str:
    """Return how full a page is: full, end (no more match), cut (by what was asked), uncertain, short or empty.

    short: more match, nothing was to be left out, and yet they are not there; that should never be.
    """
    if len(hits) >= asked.k:
        return "full"
    if not hits.complete:
        return "uncertain"
    cut = asked.max_distance is not None or any(getattr(asked.ranking, name) is not None for name in _CUTS)
    if cut or asked.ranking.look_weight == 0 or hits.strategy == "words":
        return "cut" if hits else "empty"
    if asked.after is None and hits.matches > asked.skip + len(hits):
        return "short"
    return "end" if hits or asked.after or asked.skip else "empty"


def said(
    asked: SearchRequest, hits: Hits, resolved: Resolved, resolve_ms: float, page: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a line tells of a search: how, how long, how wide; the names of filters, never their values."""
    ranking = page["ranking"].given()
    return {
        "request": g.get("imgsearch_request", ""),
        "sql_ms": round(hits.took_ms, 1),
        "resolve_ms": round(resolve_ms, 1),
        "strategy": hits.strategy,
        "outcome": outcome(asked, hits),
        "rows": len(hits),
        "k": asked.k,
        "skip": asked.skip,
        "deep": asked.after is not None,
        "matches": hits.matches,
        "more": hits.more,
        "kind": resolved.kind,
        "source": resolved.source,
        "filters": shape_of(json.loads(page["filters"].as_json() or "{}")),
        "ranking": sorted(ranking),
    }


def shape_of(filters: Any) -> Any:
    """Return the names in filters, with how many values each has; no value."""
    if isinstance(filters, Mapping):
        return {name: shape_of(value) for name, value in filters.items()}
    if isinstance(filters, list):
        return [shape_of(one) for one in filters] if any(isinstance(x, Mapping) for x in filters) else len(filters)
    return 1


def explained(state: AppState, response: Response) -> None:
    """Write the line of a slow search, with its explanation, once the answer is under way."""
    slow: tuple[str | None, dict[str, Any], dict[str, Any]] | None = g.pop("imgsearch_slow", None)
    if slow is not None:
        tenant, line, values = slow
        response.call_on_close(lambda: _write(state, tenant, line, values))


def _write(state: AppState, tenant: str | None, line: dict[str, Any], values: dict[str, Any]) -> None:
    texts = state.settings.slow_search_texts == "shown"
    try:
        with state.sessions.session(tenant, writes=False) as connection:
            rows = sql.rows(connection, "explain", "explain", values)
        line["how"] = [row["explanation"] for row in rows if texts or row["subject"] in _TELLS]
    except ImgsearchError as error:
        line["how"] = [f"It could not be explained: {type(error).__name__}."]
    log.warning("slow search: %s", printable_json(json.dumps(line, ensure_ascii=False, default=str)))
