"""Steps of upkeep, each by itself: one that fails is named, and keeps none of the others from happening."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import psycopg

from imgsearch import db
from imgsearch.db import sql
from imgsearch.db.pooler import is_pooled
from imgsearch.errors import ImgsearchError
from imgsearch.settings import Settings

log = logging.getLogger("imgsearch.worker")
Connection = psycopg.Connection[Any]
LONGEST = 500  # characters of an error that are kept


def run_each(settings: Settings, steps: Mapping[str, Callable[[Connection], object]]) -> list[str]:
    """Run each step on a connection in autocommit; return the names of those that failed.

    Raises DatabaseError where no connection can be had: then nothing was tried.
    """
    failed: list[str] = []
    connection = _connected(settings)
    try:
        for name, step in steps.items():
            try:
                step(connection)
            except Exception as error:  # noqa: BLE001 - also a bug keeps nothing else from its turn
                failed.append(name)
                tell(name, error)
                if connection.closed:  # the step has ended it
                    connection = _connected(settings)
                note(connection, name, error)
        note(connection, [name for name in steps if name not in failed], None)
    finally:
        connection.close()
    return failed


class Steps:
    """Steps of a loop that has a connection: one that fails is logged and noted, unless it ended the connection."""

    def __init__(self) -> None:
        self._failing: set[str] = set()

    def run(self, connection: Connection, name: str, step: Callable[[Connection], int]) -> int:
        """Run a step; return what it returns, 0 where it failed."""
        try:
            done = step(connection)
        except Exception as error:
            if connection.closed:
                raise
            tell(name, error)
            note(connection, name, error)
            self._failing.add(name)
            return 0
        if name in self._failing:
            self._failing.remove(name)
            note(connection, name, None)
        return done


def note(connection: Connection, names: str | Sequence[str], error: Exception | None) -> None:
    """Keep that a step failed, or that steps did what they had to do; where that cannot be kept, the log has it."""
    steps = [names] if isinstance(names, str) else list(names)
    with suppress(psycopg.Error, ImgsearchError):
        if error is None:
            sql.run(connection, "upkeep", "done", {"steps": steps})
        else:
            sql.run(connection, "upkeep", "failed", {"steps": steps, "error": short(error)})


def note_apart(settings: Settings, name: str, error: Exception | None) -> None:
    """The same on a connection of its own."""
    with suppress(psycopg.Error, ImgsearchError), db.connect_direct(settings, autocommit=True) as connection:
        note(connection, name, error)


def tell(name: str, error: Exception) -> None:
    """Log that a step failed; with its traceback where that is a bug."""
    bug = not isinstance(error, psycopg.Error | ImgsearchError)
    log.warning("%s failed, and comes again: %s", name, short(error), exc_info=error if bug else None)


def short(error: Exception) -> str:
    """Return the first line of an error."""
    return (str(error).partition("\n")[0] or type(error).__name__).replace("\0", "")[:LONGEST]


def _connected(settings: Settings) -> Connection:
    connection = db.connect_direct(settings, autocommit=True, application_name="imgsearch upkeep")
    if not is_pooled(connection):  # else the session is the next client's, too
        sql.run(connection, "upkeep", "patience")
    return connection
