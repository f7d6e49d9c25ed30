"""Moves vectors that were delivered many at once into the graph, a few at a time, while others search and deliver."""

from __future__ import annotations

import logging
import threading

import psycopg

from imgsearch.errors import ImgsearchError
from imgsearch.ingest import queue
from imgsearch.settings import Settings
from imgsearch_workers.process.connect import connect

log = logging.getLogger("imgsearch.worker")
LOOK_SECONDS = 60.0  # vectors that are brought along, or were left by another worker
REST_SECONDS = 1.0  # after a wake, so that one look does for many deliveries


class Merger:
    """A thread that looks when it is woken, and every minute; it has a connection only while it looks."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._woken, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="merger", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something was delivered."""
        self._woken.set()

    def stop(self) -> None:
        """End after the part that is being moved; what is left is searched where it is."""
        self._stopping.set()
        self._woken.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.wait(LOOK_SECONDS)
            if self._stopping.wait(REST_SECONDS):
                return
            self._woken.clear()
            try:
                self._merge()
            except (psycopg.Error, ImgsearchError) as error:
                log.warning("the merge of new vectors comes again: %s", str(error).partition("\n")[0])

    def _merge(self) -> None:
        with connect(self._settings, "imgsearch merger") as connection:
            for space_id in queue.tails(connection):
                while not self._stopping.is_set() and queue.merge_tail(connection, space_id):
                    pass
