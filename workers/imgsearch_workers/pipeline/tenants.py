"""Gives large tenants a graph of their own while a worker is idle, and takes it away when they are large no longer."""

from __future__ import annotations

import logging

from imgsearch.ops import tenant_graphs
from imgsearch.settings import Settings
from imgsearch_workers.pipeline.lookout import Lookout
from imgsearch_workers.process.connect import connect

log = logging.getLogger("imgsearch.worker")
LOOK_SECONDS = 300.0


class Tenants:
    """Looks every few minutes; has a connection only while it looks.

    To stop waits for no build; what that leaves is dropped by the next look.
    """

    def __init__(self, settings: Settings, *, fewest: int | None = None) -> None:
        self._settings, self._fewest = settings, fewest
        failing = "the graphs of large tenants are looked at again"
        self.lookout = Lookout("tenants", self._look, seconds=LOOK_SECONDS, failing=failing)

    def start(self) -> None:
        if self._settings.tenant_graphs == "auto":
            self.lookout.start()

    def _look(self) -> None:
        while not self.lookout.is_stopping() and self.follow():
            pass

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
