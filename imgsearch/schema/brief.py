"""Strong locks without harm: asked for again and again, 80 ms at a time, so that nobody queues behind who waits."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import psycopg
from psycopg.rows import TupleRow
from psycopg.sql import Identifier

from imgsearch.db import sql
from imgsearch.errors import SchemaBusy
from imgsearch.schema import turn

Connection = psycopg.Connection[TupleRow]
Result = TypeVar("Result")
Say = Callable[[str], None]
PATIENCE = 120.0  # seconds; a try that has functions to replace takes two of them on a busy shop
WAIT, CALM = "80ms", "2500ms"  # others queue behind the first; behind the second only upkeep of tables


def briefly(
    lent: Connection,
    what: str,
    work: Callable[[], Result],
    *,
    tables: Iterable[str] = (),
    patience: float = PATIENCE,
    say: Say | None = None,
) -> Result:
    """Do `work` in a transaction (a savepoint, where one is open) that never waits long for a lock; again if it had to.

    tables: those that it locks strongly. Raises SchemaBusy, naming who was in the way, after `patience` seconds.
    """
    until, tries = time.monotonic() + patience, 0
    while True:
        tries += 1
        try:
            with lent.transaction():
                sql.run(lent, "schema", "unhurried")
                turn.take(lent, say)  # behind another upgrade one waits as long as it takes
                _wait_at_most(lent, CALM)
                for table in tables:
                    names = {"table": Identifier(*table.split("."))}
                    sql.run(lent, "schema", "calm_lock", names=names)
                _wait_at_most(lent, WAIT)
                return work()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            if time.monotonic() > until:
                raise busy(lent, what, f"{tries} tries within {patience:g} s") from error
            if tries == 1 and say:
                say(f"{what}: {in_the_way(lent)} is in the way; trying again for {patience:g} s")
        time.sleep(0.1 + random.random() / 5)


def busy(lent: Connection, what: str, tried: str) -> SchemaBusy:
    """Return the error that names who is in the way now, and what to do."""
    row = _blocker(lent)
    cure = f"end it (SELECT pg_terminate_backend({row['pid']});) or wait until it has ended" if row else "try again"
    return SchemaBusy(
        f"{what} found no moment to lock what it changes ({tried}): {_told(row)} is in the way. "
        f"Nobody was kept waiting, and what was done before stays done: {cure}, then run `imgsearch db upgrade` again."
    )


def in_the_way(lent: Connection) -> str:
    """Return in words who holds locks on our tables for longest."""
    return _told(_blocker(lent))


def _blocker(lent: Connection) -> dict[str, Any] | None:
    rows = sql.rows(lent, "schema", "in_the_way")
    return dict(rows[0]) if rows else None


def _told(row: dict[str, Any] | None) -> str:
    if row is None:
        return "somebody who has ended meanwhile"
    return (
        f"process {row['pid']} of {row['role']} ({row['state']}, its transaction is open for {row['seconds']:.0f} s, "
        f"last: {row['query']})"
    )


def _wait_at_most(lent: Connection, duration: str) -> None:
    sql.run(lent, "schema", "set", {"name": "lock_timeout", "value": duration})


__all__ = ["CALM", "PATIENCE", "WAIT", "Say", "briefly", "busy", "in_the_way"]
