"""What a worker counts and times, for Prometheus; free of cost until `enable` is called.

Names follow text-embeddings-inference and celery-exporter. No tenant is a label: their number has no bound.
Needs prometheus-client (the extra `metrics`); nothing here touches its global registry, so a host
application keeps its own metrics to itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from imgsearch.extras import needed
from imgsearch.ops.exposition import text_of
from imgsearch.ops.gauges import gauges_exposition

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from psycopg import Connection

Stage = Literal["fetch", "decode", "forward", "deliver"]
Event = Literal["claimed", "ready", "released", "rescued", "stale", "oom", "woken"]

_EVENTS: dict[Event, tuple[str, str]] = {
    "claimed": ("imgsearch_images_claimed", "Images leased to this worker"),
    "ready": ("imgsearch_images_ready", "Images whose vector this worker committed"),
    "released": ("imgsearch_images_released", "Images given back without spending the attempt"),
    "rescued": ("imgsearch_lease_expired", "Images taken back from workers whose lease expired"),
    "stale": ("imgsearch_stale_write_rejected", "Results refused because the picture was replaced or taken over"),
    "oom": ("imgsearch_oom_backoff", "Batches halved because the device ran out of memory"),
    "woken": ("imgsearch_wakeups_received", "Celery messages received"),
}
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The worker's own numbers, in a registry of their own."""

    def __init__(self) -> None:
        """Raises ExtraMissing where prometheus-client is not installed."""
        with needed("metrics", "Counting what a worker does"):
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        self.registry: CollectorRegistry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry}
        self.events = {event: Counter(name, text, **own) for event, (name, text) in _EVENTS.items()}
        self.failures = Counter(
            "imgsearch_images_failed",
            "Attempts that failed, by code; `final` ones are set aside",
            ["code", "final"],
            **own,
        )
        self.stages = Histogram(
            "imgsearch_stage_duration_seconds",
            "Duration of a step: fetch and decode of one picture, forward and deliver of a batch",
            ["stage"],
            buckets=SECONDS,
            **own,
        )
        self.batch = Histogram("imgsearch_batch_next_size", "Images in one forward pass", buckets=_SIZES, **own)
        self.ready = Gauge("imgsearch_worker_ready", "1 when the last look found this worker ready", **own)


_enabled: Metrics | None = None


def enable() -> Metrics:
    """Begin to count in this process. Raises SettingsError where prometheus-client is not installed."""
    global _enabled
    if _enabled is None:
        _enabled = Metrics()
    return _enabled


def count(event: Event, amount: int = 1) -> None:
    """Count something that happened."""
    if _enabled is not None and amount:
        _enabled.events[event].inc(amount)


def failed(code: str, state: str | None) -> None:
    """Count an attempt that failed and left its picture in `state`."""
    if _enabled is not None:
        _enabled.failures.labels(code, "true" if state == "failed" else "false").inc()


@contextmanager
def timed(stage: Stage) -> Iterator[None]:
    """Time one step, whether it succeeds or raises."""
    if _enabled is None:
        yield
        return
    began = time.perf_counter()
    try:
        yield
    finally:
        _enabled.stages.labels(stage).observe(time.perf_counter() - began)


@contextmanager
def forward(size: int) -> Iterator[None]:
    """Time one forward pass of `size` images."""
    if _enabled is not None:
        _enabled.batch.observe(size)
    with timed("forward"):
        yield


def exposition(connection: Connection[Any] | None = None, *, ready: bool | None = None, store: str = "") -> bytes:
    """Return the text that Prometheus reads: this process's numbers, and the gauges where a connection is lent.

    Raises SettingsError where prometheus-client is not installed, and the database's typed errors.
    """
    if ready is not None and _enabled is not None:
        _enabled.ready.set(ready)
    own = text_of(_enabled.registry if _enabled is not None else Metrics().registry)
    return own + (gauges_exposition(connection, store=store) if connection is not None else b"")
