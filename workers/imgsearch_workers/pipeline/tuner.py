"""Tunes the search by measuring while a worker is idle: after many pictures came, and when they changed much."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import psycopg

from imgsearch.db import sql
from imgsearch.db.held import held
from imgsearch.ops import tuning, upkeep
from imgsearch.settings import Settings
from imgsearch_workers.pipeline.lookout import Lookout
from imgsearch_workers.process.connect import connect

log = logging.getLogger("imgsearch.worker")
LOOK_SECONDS = 300.0
SECONDS = 1800.0  # a tuning, three quarters of it rests
SHARE = 0.25  # of a core
FEWEST = 5_000  # pictures: below, the defaults find enough and cost little


class _Stopped(Exception):
    """The worker ends while it measures."""


class _Taken(Exception):
    """Another worker tunes this space."""


def _refuse(_: psycopg.Connection[Any]) -> None:
    raise _Taken


class Tuner:
    """Looks every few minutes; has a connection only while it looks.

    Stops within one question; what was measured so far is forgotten.
    """

    def __init__(self, settings: Settings, *, fewest: int = FEWEST) -> None:
        self._settings, self._fewest = settings, fewest
        failing = "the tuning of the search comes again"
        noted = partial(upkeep.note_apart, settings, "tuner")
        self.lookout = Lookout("tuner", self.tune, seconds=LOOK_SECONDS, failing=failing, noted=noted)

    def start(self) -> None:
        if self._settings.tuning == "auto":
            self.lookout.start()

    def tune(self, seconds: float = SECONDS) -> bool:
        """Tune the searched space if that is due; return whether it was."""
        with connect(self._settings, "imgsearch tuner") as connection:
            due = sql.rows(connection, "tuning", "due", {"fewest": self._fewest})
            if not due:
                return False
            try:
                with held(self._settings, "tuning", "begin", due[0], refuse=_refuse):
                    chosen = tuning.tune(connection, seconds=seconds, by="worker", rest=self._rest)
            except (_Stopped, _Taken):
                return False
        log.info(
            "tuned the search of space %d: %s, pool %d; the worst filter finds %.1f %%",
            due[0]["space_id"],
            chosen.walks,
            chosen.pool,
            100 * chosen.recall,
        )
        return True

    def _rest(self, took: float) -> None:
        if self.lookout.wait(took * (1 / SHARE - 1)):
            raise _Stopped("The worker ends.")
