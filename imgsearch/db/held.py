"""A lock for as long as some work lasts, whatever connections the work uses, also through a pooler.

It is a lock of a transaction that stays open on a connection of its own. Such a transaction holds no snapshot, so that
neither vacuum nor a concurrent index build waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import Connection, IsolationLevel

from imgsearch import db
from imgsearch.db import sql
from imgsearch.settings import Settings


@contextmanager
def held(
    settings: Settings,
    file: str,
    name: str,
    values: Mapping[str, Any] | None = None,
    *,
    refuse: Callable[[Connection[Any]], None],
) -> Iterator[None]:
    """Hold the lock that a statement tries to take.

    While others have it, `refuse` is told on the same connection: it raises, or returns to have it tried again.
    """
    keeper = db.connect_direct(settings, application_name="imgsearch lock")
    try:
        keeper.isolation_level = IsolationLevel.READ_COMMITTED  # any other would keep its snapshot
        while not sql.value(keeper, file, name, values):
            refuse(keeper)
        # Without values, so that it goes as a simple query: a bound one keeps its snapshot until the next statement.
        sql.run(keeper, "maintenance", "keep")
        yield
    finally:
        with suppress(psycopg.Error):  # gone already: then its lock is, too
            keeper.rollback()
        keeper.close()
