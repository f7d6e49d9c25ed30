"""The text that Prometheus reads: the numbers of one process, or of all processes of one server together.

A server of several processes (gunicorn, uWSGI) answers a scrape by any one of them. Where PROMETHEUS_MULTIPROC_DIR
names a folder, prometheus-client keeps the numbers in files there, and whoever answers adds up what all have counted:
ours alone, for a host application keeps its own metrics in the same folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
OURS = "imgsearch_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Ours:
    """What every process of this server counted under our names."""

    def __init__(self) -> None:
        from prometheus_client.multiprocess import MultiProcessCollector

        self._all: Any = MultiProcessCollector(None)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        return [one for one in self._all.collect() if one.name.startswith(OURS)]


def text_of(registry: CollectorRegistry) -> bytes:
    """Return the numbers of a registry; where the processes of a server share a folder, those of all of them."""
    from prometheus_client import CollectorRegistry, generate_latest

    if os.environ.get(FOLDER):
        registry = CollectorRegistry()
        registry.register(_Ours())
    text: bytes = generate_latest(registry)
    return text
