"""Moves vectors that were delivered many at once into the graph, a few at a time, while others search and deliver."""

from __future__ import annotations

from functools import partial
from typing import Any

import psycopg

from imgsearch.db.all_of import all_of
from imgsearch.ingest import queue
from imgsearch.ops import upkeep
from imgsearch.settings import Settings
from imgsearch_workers.pipeline.lookout import Lookout
from imgsearch_workers.process.connect import connect

LOOK_SECONDS = 60.0  # vectors that are brought along, or were left by another worker
REST_SECONDS = 1.0  # after a wake, so that one look does for many deliveries


class Merger:
    """Looks when something was delivered, and every minute; has a connection only while it looks.

    Stops after the part that is being moved; what is left is searched where it is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        failing = "the merge of new vectors comes again"
        noted = partial(upkeep.note_apart, settings, "merger")
        self.lookout = Lookout(
            "merger", self._merge, seconds=LOOK_SECONDS, rest=REST_SECONDS, failing=failing, noted=noted
        )

    def _merge(self) -> None:
        with connect(self._settings, "imgsearch merger") as connection:
            all_of(queue.tails(connection), partial(self._merge_one, connection))

    def _merge_one(self, connection: psycopg.Connection[Any], space_id: int) -> None:
        while not self.lookout.is_stopping() and queue.merge_tail(connection, space_id):
            pass
