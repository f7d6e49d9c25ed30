"""One upgrade at a time: the lock of migrations, and who holds it while that takes long."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import psycopg

from imgsearch.db import sql

if TYPE_CHECKING:
    from imgsearch.schema.brief import Say

SILENCE = 5.0  # seconds, then it is said for whom one waits
AGAIN = 60.0  # and from then on every minute
LOOK = 0.1
_log = logging.getLogger("imgsearch.schema")


def take(connection: psycopg.Connection[Any], say: Say | None = None) -> None:
    """Take the lock of migrations until the transaction ends, however long another upgrade takes.

    `say` is told who holds it after some seconds; without it the log is. It passes through any pooler.
    """
    due = time.monotonic() + SILENCE
    while not sql.value(connection, "schema", "try_lock"):
        if time.monotonic() > due:
            due += AGAIN
            (say or _log.warning)(f"waiting for another upgrade: {_holder(connection)}")
        time.sleep(LOOK)


def _holder(connection: psycopg.Connection[Any]) -> str:
    rows = sql.rows(connection, "schema", "lock_holder")
    if not rows:
        return "it has just ended"
    row = rows[0]
    who = f"process {row['pid']} ({row['application']}, {row['state']} for {row['seconds']:.0f} s)"
    return f"{who} holds its lock; end that session, or SELECT pg_terminate_backend({row['pid']});"
