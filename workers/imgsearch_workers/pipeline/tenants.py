"""Gives large tenants a graph of their own while a worker is idle, and takes it away when they are large no longer."""

from __future__ import annotations

import logging
import threading

import psycopg

from imgsearch.errors import ImgsearchError
from imgsearch.ops import tenant_graphs
from imgsearch.settings import Settings
from imgsearch_workers.process.connect import connect

log = logging.getLogger("imgsearch.worker")
LOOK_SECONDS = 300.0


class Tenants:
    """A thread that looks every few minutes; it has a connection only while it looks."""

    def __init__(self, settings: Settings, *, fewest: int | None = None, look_seconds: float = LOOK_SECONDS) -> None:
        self._settings, self._fewest, self._look_seconds = settings, fewest, look_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tenants", daemon=True)

    def start(self) -> None:
        if self._settings.tenant_graphs == "auto":
            self._thread.start()

    def is_running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Look no more; a build that runs is not waited for, and what it leaves is dropped by the next look."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(self._look_seconds):
            try:
                while not self._stopping.is_set() and self.follow():
                    pass
            except (psycopg.Error, ImgsearchError) as error:
                log.warning("the graphs of large tenants are looked at again: %s", str(error).partition("\n")[0])

    def follow(self) -> bool:
        """Build or drop one tenant's graph, if that is due; return whether it was."""
        with connect(self._settings, "imgsearch tenants") as connection:
            tenant_graphs.sweep(self._settings, connection)
            one = tenant_graphs.due(connection, fewest=self._fewest)
            if one is None:
                return False
            done = tenant_graphs.follow(self._settings, one)
        verb = "built" if one["doing"] == "make" else "dropped"
        log.info("%s for a tenant with %d pictures: %s", verb, one["pictures"], ", ".join(done))
        return bool(done)
