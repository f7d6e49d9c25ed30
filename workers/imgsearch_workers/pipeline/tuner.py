"""Tunes the search by measuring while a worker is idle: after many pictures came, and when they changed much."""

from __future__ import annotations

import logging
import threading
from typing import Any

import psycopg

from imgsearch.db import sql
from imgsearch.db.held import held
from imgsearch.errors import ImgsearchError
from imgsearch.ops import tuning
from imgsearch.settings import Settings
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
    """A thread that looks every few minutes; it has a connection only while it looks."""

    def __init__(self, settings: Settings, *, fewest: int = FEWEST, look_seconds: float = LOOK_SECONDS) -> None:
        self._settings, self._fewest, self._look_seconds = settings, fewest, look_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tuner", daemon=True)

    def start(self) -> None:
        if self._settings.tuning == "auto":
            self._thread.start()

    def is_running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """End within one question; what was measured so far is forgotten."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(self._look_seconds):
            try:
                self.tune()
            except _Stopped:
                return
            except (psycopg.Error, ImgsearchError) as error:
                log.warning("the tuning of the search comes again: %s", str(error).partition("\n")[0])

    def tune(self, seconds: float = SECONDS) -> bool:
        """Tune the searched space if that is due; return whether it was."""
        with connect(self._settings, "imgsearch tuner") as connection:
            due = sql.rows(connection, "tuning", "due", {"fewest": self._fewest})
            if not due:
                return False
            try:
                with held(self._settings, "tuning", "begin", due[0], refuse=_refuse):
                    chosen = tuning.tune(connection, seconds=seconds, by="worker", rest=self._rest)
            except _Taken:
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
        if self._stopping.wait(took * (1 / SHARE - 1)):
            raise _Stopped("The worker ends.")
