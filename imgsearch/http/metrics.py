"""How many requests this process answered, and how fast; for Prometheus, in a registry of its own."""

from __future__ import annotations

import time

from imgsearch.extras import needed


class RequestMetrics:
    """One histogram: its count is the number of requests. No tenant and no path is a label: they have no bound."""

    def __init__(self) -> None:
        with needed("flask", "The page and the HTTP API"):
            from prometheus_client import CollectorRegistry, Histogram

        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "imgsearch_http_request_duration_seconds",
            "Duration of requests, by operation and status",
            ["operation", "status"],
            registry=self._registry,
        )

    def ended(self, endpoint: str | None, status: int, began: float | None) -> None:
        """Count a request that began at `began` (time.perf_counter); None: it never reached us."""
        if began is not None:
            operation = (endpoint or "none").rpartition(".")[2]
            self._seconds.labels(operation, str(status)).observe(time.perf_counter() - began)

    def exposition(self) -> bytes:
        """Return the text that Prometheus reads."""
        from prometheus_client import generate_latest

        text: bytes = generate_latest(self._registry)
        return text
