"""What a web process answered, and how fast: requests, searches, questions, waits and errors; for Prometheus.

In a registry of its own. No tenant, no path and no text is a label: they have no bound, and would tell of people.
"""

from __future__ import annotations

import time
from typing import Any

from flask import current_app, has_app_context

from imgsearch.extras import needed
from imgsearch.ops.exposition import text_of
from imgsearch.ops.metrics import SECONDS

HISTOGRAMS = {
    "requests": ("imgsearch_http_request_duration_seconds", "Duration of requests", ("operation", "status")),
    "searches": ("imgsearch_search_duration_seconds", "Duration of the statement of a search", ("strategy",)),
    "questions": (
        "imgsearch_question_duration_seconds",
        "How long words or a picture took to become a vector; `source` memory and database were asked before",
        ("source",),
    ),
    "waits": ("imgsearch_query_wait_seconds", "Waits for a query worker, by how they ended", ("outcome",)),
}
COUNTERS = {
    "pages": ("imgsearch_search_pages", "Pages of hits, by how full they were", ("strategy", "outcome")),
    "errors": ("imgsearch_http_errors", "Problem documents and error pages, by code", ("code",)),
    "slow": ("imgsearch_slow_searches", "Searches above IMGSEARCH_SLOW_SEARCH_MS", ()),
}


def refused(code: str) -> None:
    """Count an answer that is a problem, in the app that gives it."""
    state = current_app.extensions.get("imgsearch") if has_app_context() else None
    counted = getattr(state, "metrics", None)
    if isinstance(counted, WebMetrics):
        counted.refused(code)


class WebMetrics:
    """One app's own numbers. The count of a histogram is the number of what it times."""

    def __init__(self) -> None:
        with needed("flask", "The page and the HTTP API"):
            from prometheus_client import CollectorRegistry, Counter, Histogram

        self._registry = CollectorRegistry()
        self._seconds: dict[str, Any] = {
            name: Histogram(called, text, labels, buckets=SECONDS, registry=self._registry)
            for name, (called, text, labels) in HISTOGRAMS.items()
        }
        self._counts: dict[str, Any] = {
            name: Counter(called, text, labels, registry=self._registry)
            for name, (called, text, labels) in COUNTERS.items()
        }

    def ended(self, endpoint: str | None, status: int, began: float | None) -> None:
        """Count a request that began at `began` (time.perf_counter); None: it never reached us."""
        if began is not None:
            operation = (endpoint or "none").rpartition(".")[2]
            self._seconds["requests"].labels(operation, str(status)).observe(time.perf_counter() - began)

    def searched(self, strategy: str, outcome: str, seconds: float) -> None:
        """Count a page of hits: found by which arm, how full it was, and how long its statement took."""
        self._seconds["searches"].labels(strategy).observe(seconds)
        self._counts["pages"].labels(strategy, outcome).inc()

    def resolved(self, source: str, seconds: float) -> None:
        """Count a text or a picture that became a vector."""
        self._seconds["questions"].labels(source).observe(seconds)

    def waited(self, outcome: str, seconds: float) -> None:
        """Count a wait for a query worker: answered, or the code of what came instead."""
        self._seconds["waits"].labels(outcome).observe(seconds)

    def refused(self, code: str) -> None:
        """Count an answer that is a problem."""
        self._counts["errors"].labels(code).inc()

    def slow(self) -> None:
        """Count a search that took longer than it should."""
        self._counts["slow"].inc()

    def exposition(self) -> bytes:
        """Return the text that Prometheus reads."""
        return text_of(self._registry)
