"""What Celery's messages do: wake a loop of this worker, and sweep. All work is claimed from the database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import psycopg
from celery import Celery

from imgsearch.db import sql
from imgsearch.errors import ImgsearchError
from imgsearch.ingest import queue, upload
from imgsearch.ingest.wakeup import TASKS
from imgsearch.ops import metrics, page_sessions, upkeep
from imgsearch.settings import process_settings
from imgsearch_workers.process.listener import Listener

log = logging.getLogger("imgsearch.worker")
FORGET_DAYS = 30
MOST_ANSWERS = 100_000  # of each tenant, the latest: 214 MB at 768 numbers
SWEEP, SWEEP_STORE = "imgsearch.sweep", "imgsearch.sweep_store"
_listeners: Mapping[str, Listener] = {}


def use(listeners: Mapping[str, Listener]) -> None:
    """Let Celery's messages wake these, named by their queues."""
    global _listeners
    _listeners = listeners


def register(app: Celery) -> None:
    """Give the app, and no other one, its tasks: without arguments, without results, acknowledged as they come."""
    task = partial(app.task, ignore_result=True, shared=False)
    task(wake_images, name=TASKS["images"])
    task(wake_queries, name=TASKS["queries"])
    task(sweep, name=SWEEP)
    task(sweep_store, name=SWEEP_STORE)


def wake_images() -> None:
    """There may be pictures to embed."""
    _wake("images")


def wake_queries() -> None:
    """There may be questions to answer."""
    _wake("queries")


def sweep() -> None:
    """Catch what every net above let through: lost jobs, silent workers, old questions, an old sample, new words."""
    _run_each(
        {
            "rescue": lambda connection: queue.rescue(connection, max_attempts=process_settings().max_attempts),
            "enqueue_missing": lambda connection: queue.enqueue_missing(connection),
            "retry_attached": lambda connection: queue.retry_attached(connection),
            "forget_questions": lambda connection: sql.run(connection, "query_cache", "forget", {"days": FORGET_DAYS}),
            "bound_questions": lambda connection: sql.run(connection, "query_cache", "bound", {"most": MOST_ANSWERS}),
            "forget_looks": lambda connection: sql.run(connection, "look", "forget"),
            "sweep_sessions": lambda connection: page_sessions.sweep(connection),
            "refresh_sample": lambda connection: sql.run(connection, "maintenance", "refresh_sample"),
            "refresh_vocabulary": lambda connection: sql.run(connection, "maintenance", "refresh_vocabulary"),
        }
    )


def sweep_store() -> None:
    """Delete bytes nobody uses. Walks the whole store, and buckets charge for that: not every minute."""
    _run_each({"sweep_store": _sweep_store})


def _sweep_store(connection: psycopg.Connection[Any]) -> None:
    swept = upload.sweep_store(connection, upload.open_store(process_settings().storage_url))
    log.info("swept the store: %d of %d objects deleted, %d bytes", swept.deleted, swept.seen, swept.size)


def _run_each(steps: Mapping[str, Callable[[psycopg.Connection[Any]], object]]) -> None:
    try:
        upkeep.run_each(process_settings(), steps)
    except (psycopg.Error, ImgsearchError) as error:
        log.warning("the sweep comes again: %s", error)


def _wake(queue_name: str) -> None:
    metrics.count("woken")
    if queue_name in _listeners:
        _listeners[queue_name].wake()
