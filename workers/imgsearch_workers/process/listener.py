"""Wake up when there is work: a NOTIFY, a Celery nudge, or the clock. No message has to arrive."""

from __future__ import annotations

import logging
import random
import threading
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from imgsearch.db.pooler import is_pooled
from imgsearch.errors import DatabaseError
from imgsearch.settings import Settings
from imgsearch_workers.process.connect import connect

log = logging.getLogger("imgsearch.worker")
POLL_SECONDS = 3.0
DEAF_SECONDS = 0.25  # between looks where a pooler stands in the way of NOTIFY
DEAF = (
    "A pooler stands before the database, through which no NOTIFY arrives: work is looked for every %g s. "
    "Set IMGSEARCH_DIRECT_URL to the database's own address to be woken at once."
)
_said = threading.Event()


class Listener:
    """Listens on a channel of the database in a thread of its own; `wait` returns when there may be work.

    Celery's nudges call `wake` from another thread. When the database is away the thread keeps trying, and `wait`
    still returns every few seconds.
    """

    def __init__(self, settings: Settings, channel: str) -> None:
        self._settings, self._channel = settings, channel
        self._announced = threading.Event()
        self._closed = threading.Event()
        self._deaf = False
        self._thread = threading.Thread(target=self._listen, name=f"listener-{channel}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There may be work."""
        self._announced.set()

    def close(self) -> None:
        """Stop listening, and end any `wait`."""
        self._closed.set()
        self._announced.set()

    def wait(self, seconds: float = POLL_SECONDS) -> bool:
        """Wait for work, about `seconds` at most; return whether any was announced.

        Jittered: workers must not poll in step.
        """
        seconds = min(seconds, DEAF_SECONDS) if self._deaf else seconds
        announced = self._announced.wait(seconds * random.uniform(0.8, 1.2))
        self._announced.clear()
        return announced

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                with connect(self._settings, "imgsearch listener") as connection:
                    if not is_pooled(connection):
                        self._receive(connection)
                        continue
                self._deaf = True
                if not _said.is_set():
                    _said.set()
                    log.warning(DEAF, DEAF_SECONDS)
                self.wake()
                self._closed.wait()
            except (psycopg.Error, DatabaseError) as error:
                log.warning("cannot listen for work, polling instead: %s", str(error).splitlines()[0])
                self._closed.wait(POLL_SECONDS)

    def _receive(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(SQL("LISTEN {}").format(Identifier(self._channel)))
        self.wake()  # whatever was said while we were not listening
        while not self._closed.is_set():
            for _ in connection.notifies(timeout=1.0, stop_after=1):
                self.wake()
