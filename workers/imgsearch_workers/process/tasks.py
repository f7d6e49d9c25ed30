"""What Celery's messages do: ring the bell of a lane, and sweep. All work is claimed from the database."""

from __future__ import annotations

import _thread
import logging
import os
import signal
from typing import Any

import psycopg
from celery import Celery

from imgsearch import db
from imgsearch.db import sql
from imgsearch.errors import ImgsearchError
from imgsearch.ingest import queue, upload
from imgsearch.ingest.wakeup import QUEUES, TASKS
from imgsearch.ops import metrics
from imgsearch.settings import process_settings
from imgsearch_workers.process.worker import Lanes, Station

log = logging.getLogger("imgsearch.worker")
FORGET_DAYS = 30
SWEEP, SWEEP_STORE = "imgsearch.sweep", "imgsearch.sweep_store"
_station: Station | None = None
_ours = False  # whether Celery started this process, and so ends the station, too


def use(station: Station) -> None:
    """Let Celery's messages ring at this station."""
    global _station
    _station = station


def register(app: Celery) -> None:
    """Give the app its tasks: without arguments, without results, acknowledged as they come."""
    app.task(wake_images, name=TASKS["images"], ignore_result=True)
    app.task(wake_queries, name=TASKS["queries"], ignore_result=True)
    app.task(sweep, name=SWEEP, ignore_result=True)
    app.task(sweep_store, name=SWEEP_STORE, ignore_result=True)


def wake_images() -> None:
    """There may be pictures to embed."""
    _ring("images")


def wake_queries() -> None:
    """There may be questions to answer."""
    _ring("queries")


def sweep() -> None:
    """Catch what every net above let through: lost jobs, silent workers, old questions, a sample grown old."""
    settings = process_settings()
    try:
        with db.connect(settings, autocommit=True) as connection:
            queue.rescue(connection, max_attempts=settings.max_attempts)
            queue.enqueue_missing(connection)
            sql.run(connection, "question", "forget", {"days": FORGET_DAYS})
            sql.run(connection, "upkeep", "refresh_sample")
    except (psycopg.Error, ImgsearchError) as error:
        log.warning("the sweep comes again in a minute: %s", error)


def sweep_store() -> None:
    """Delete bytes nobody uses. Walks the whole store, and buckets charge for that: not every minute."""
    settings = process_settings()
    try:
        with db.connect(settings, autocommit=True) as connection:
            swept = upload.sweep_store(connection, upload.open_store(settings.storage_url))
        log.info("swept the store: %d of %d objects deleted, %d bytes", swept.deleted, swept.seen, swept.size)
    except (psycopg.Error, ImgsearchError) as error:
        log.warning("the sweep of the store comes again: %s", error)


def on_start(sender: Any = None, **_: Any) -> None:
    """A worker started by `celery worker` itself brings its station along, for the lanes its queues name."""
    global _ours
    if _station is None:
        _ours = True
        station = Station(process_settings(), _lanes(sender))
        use(station)
        station.load()
        # Celery takes over the signal some moments from now; until then it would end this process on the spot.
        signal.signal(signal.SIGTERM, lambda *_: _thread.start_new_thread(_leave, ()))
        station.start()


def _leave() -> None:
    on_stopped()
    os._exit(0)


def on_stopping(**_: Any) -> None:
    """SIGTERM, inside Celery's signal handler: lanes begin to finish, in a thread, as a handler must take no lock."""
    if _station is not None and _ours:
        _thread.start_new_thread(_station.ask_to_end, ())


def on_stopped(**_: Any) -> None:
    """Celery is done: see that the lanes are, too."""
    if _station is not None and _ours and not _station.stop():
        log.warning("a lane did not end in time; its leases run out by themselves")


def _lanes(worker: Any) -> Lanes:
    wanted = set(getattr(getattr(worker, "app", None), "amqp", None).queues.consume_from)  # type: ignore[union-attr]
    named: list[Lanes] = [lane for lane in ("images", "queries") if QUEUES[lane] in wanted]
    return named[0] if len(named) == 1 else "both"


def _ring(lane: str) -> None:
    metrics.count("nudged")
    if _station is not None and lane in _station.ears:
        _station.ears[lane].ring()
