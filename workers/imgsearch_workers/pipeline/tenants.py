"""Gives large tenants a graph of their own while a worker is idle, and takes it away when they are large no longer."""

from __future__ import annotations

import logging
from functools import partial

from imgsearch.db.all_of import all_of
from imgsearch.ops import tenant_graphs, upkeep
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
        noted = partial(upkeep.note_apart, settings, "tenants")
        self.lookout = Lookout("tenants", self._look, seconds=LOOK_SECONDS, failing=failing, noted=noted)

    def start(self) -> None:
        if self._settings.tenant_graphs == "auto":
            self.lookout.start()

    def _look(self) -> None:
        all_of((self._sweep, self._follow_all), lambda step: step())

    def _sweep(self) -> None:
        with connect(self._settings, "imgsearch tenants") as connection:
            tenant_graphs.sweep(self._settings, connection)

    def _follow_all(self) -> None:
        failed: dict[str, Exception] = {}
        while not self.lookout.is_stopping() and self.follow(failed):
            pass
        for error in failed.values():
            raise error

    def follow(self, failed: dict[str, Exception] | None = None) -> bool:
        """Build or drop one tenant's graph, if that is due; return whether it was.

        `failed`: tenants that are left out, and take the one at which this fails; without it that is raised.
        """
        with connect(self._settings, "imgsearch tenants") as connection:
            if failed is None:
                tenant_graphs.sweep(self._settings, connection)
            one = tenant_graphs.due(connection, fewest=self._fewest, but=failed or ())
            if one is None:
                return False
            try:
                done = tenant_graphs.follow(self._settings, one)
            except Exception as error:
                if failed is None:
                    raise
                failed[one["tenant_id"]] = error
                return True
        verb = "built" if one["doing"] == "make" else "dropped"
        log.info("%s for a tenant with %d pictures: %s", verb, one["pictures"], ", ".join(done))
        return bool(done)
