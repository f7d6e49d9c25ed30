"""What the database tells Prometheus: the queue, who works, what searches find, what is on disk.

Every worker, every web process and `imgsearch status --prometheus` tell the same: take the maximum, never the sum.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import url2pathname

from imgsearch.db import sql
from imgsearch.extras import needed

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from psycopg import Connection

Samples = Sequence[tuple[tuple[str, ...], float]]  # values of the labels, and the number
STATES = ("pending", "leased", "failed")
_GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "imgsearch_queue_size": ("Images that wait, are in work, or were set aside", ("state",)),
    "imgsearch_space_images": (
        "Images that wait, are in work, or were set aside, in each space",
        ("space", "state"),
    ),
    "imgsearch_oldest_pending_seconds": ("How long the oldest image has waited", ()),
    "imgsearch_workers": ("Workers seen within 30 seconds", ()),
    "imgsearch_query_workers": ("Workers seen within 30 seconds that answer questions", ()),
    "imgsearch_queries_waiting": ("Questions nobody has answered yet", ()),
    "imgsearch_recall": (
        "Part of the true answers that the worst kind of filter found when it was measured",
        ("space",),
    ),
    "imgsearch_recall_target": ("The recall that was asked of imgsearch index tune", ("space",)),
    "imgsearch_recall_age_seconds": ("How long ago the recall was measured", ("space",)),
    "imgsearch_database_size_bytes": ("Size of the database", ()),
    "imgsearch_store_size_bytes": ("Size of the disk that holds the picture store, where it is a folder", ()),
    "imgsearch_store_free_bytes": ("What is free on it", ()),
}


class _Told:
    """Gauges read once, for one scrape: they are no process's own, so no process keeps them."""

    def __init__(self, found: Mapping[str, Samples]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        from prometheus_client.metrics_core import GaugeMetricFamily

        for name, samples in self._found.items():
            text, labels = _GAUGES[name]
            family = GaugeMetricFamily(name, text, labels=labels)
            for values, number in samples:
                family.add_metric(values, number)
            yield family


def gauges_exposition(connection: Connection[Any], tenant: str | None = None, store: str = "") -> bytes:
    """Return the gauges as the text that Prometheus reads. `store`: the address of the picture store.

    Of one tenant: its own images; what tells of the others is left out. Raises ExtraMissing, the database's errors.
    """
    with needed("metrics", "Metrics"):
        from prometheus_client import CollectorRegistry, generate_latest

    found = _queue(connection, tenant)
    if tenant is None:
        found |= _database(connection) | _disk(store)
    registry = CollectorRegistry()
    registry.register(_Told(found))
    text: bytes = generate_latest(registry)
    return text


def _queue(connection: Connection[Any], tenant: str | None) -> dict[str, Samples]:
    depth = sql.rows(connection, "queue", "depth", {"tenant": tenant})[0]
    spaces = sql.rows(connection, "queue", "depth_of_spaces", {"tenant": tenant})
    found: dict[str, Samples] = {
        "imgsearch_queue_size": [((state,), depth[state]) for state in STATES],
        "imgsearch_space_images": [((row["space"], state), row[state]) for row in spaces for state in STATES],
        "imgsearch_oldest_pending_seconds": [((), depth["oldest"])],
        "imgsearch_workers": [((), depth["workers"])],
        "imgsearch_query_workers": [((), depth["query_workers"])],
    }
    if tenant is None:
        found["imgsearch_queries_waiting"] = [((), depth["questions"])]
    return found


def _database(connection: Connection[Any]) -> dict[str, Samples]:
    measured = sql.rows(connection, "status", "recall")
    found: dict[str, Samples] = {
        f"imgsearch_{name}": [((row["space"],), row[name]) for row in measured if row[name] is not None]
        for name in ("recall", "recall_target", "recall_age_seconds")
    }
    return found | {"imgsearch_database_size_bytes": [((), sql.value(connection, "status", "database_size"))]}


def _disk(store: str) -> dict[str, Samples]:
    """Return how full the disk of a store in a folder is; nothing for a bucket. The first picture makes the folder."""
    if not store.startswith("file://"):
        return {}
    folder = Path(url2pathname(store.removeprefix("file://")))
    try:
        disk = shutil.disk_usage(next(one for one in (folder, *folder.parents) if one.is_dir()))
    except OSError:
        return {}
    return {"imgsearch_store_size_bytes": [((), disk.total)], "imgsearch_store_free_bytes": [((), disk.free)]}
