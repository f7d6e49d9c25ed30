"""What Celery's messages do: ring the bell of a lane, and sweep. All work is claimed from the database."""

from __future__ import annotations

import logging
import threading
from typing import Any

import psycopg
from celery import Celery

from imgsearch import config, db, queue, sql, upload
from imgsearch.doorbell import QUEUES, TASKS
from imgsearch.errors import ImgsearchError
from workers.station import Lanes, Station

log = logging.getLogger("imgsearch.worker")
FORGET_DAYS = 30
_station: Station | None = None
_stopping = threading.Lock()


def use(station: Station) -> None:
    """Let Celery's messages ring at this station."""
    global _station
    _station = station


def register(app: Celery) -> None:
    """Give the app its tasks: without arguments, without results, acknowledged as they come."""
    app.task(wake_images, name=TASKS["images"], ignore_result=True)
    app.task(wake_queries, name=TASKS["queries"], ignore_result=True)
    app.task(sweep, name="imgsearch.sweep", ignore_result=True)


def wake_images() -> None:
    """There may be pictures to embed."""
    _ring("images")


def wake_queries() -> None:
    """There may be questions to answer."""
    _ring("queries")


def sweep() -> None:
    """Catch what every net above let through: lost jobs, silent workers, old questions, bytes nobody uses."""
    settings = config.load()
    try:
        with db.connect(settings, autocommit=True) as connection:
            queue.rescue(connection, max_attempts=settings.max_attempts)
            queue.enqueue_missing(connection)
            sql.run(connection, "question", "forget", {"days": FORGET_DAYS})
            upload.sweep_store(connection, upload.open_store(settings.storage_url))
    except (psycopg.Error, ImgsearchError) as error:
        log.warning("the sweep comes again in a minute: %s", error)


def on_start(sender: Any = None, **_: Any) -> None:
    """A worker started by `celery worker` itself brings its station along, for the lanes its queues name."""
    if _station is None:
        station = Station(config.load(), _lanes(sender))
        use(station)
        station.start()


def on_stop(**_: Any) -> None:
    """SIGTERM: finish or give back what is in flight, beside Celery's own shutdown."""
    with _stopping:
        if _station is not None and not _station.stop():
            log.warning("a lane did not end in time; its leases run out by themselves")


def _lanes(worker: Any) -> Lanes:
    wanted = set(getattr(getattr(worker, "app", None), "amqp", None).queues.consume_from)  # type: ignore[union-attr]
    named: list[Lanes] = [lane for lane in ("images", "queries") if QUEUES[lane] in wanted]
    return named[0] if len(named) == 1 else "both"


def _ring(lane: str) -> None:
    if _station is not None and lane in _station.ears:
        _station.ears[lane].ring()
