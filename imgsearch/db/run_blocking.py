"""An asynchronous psycopg connection, seen from inside SQLAlchemy's `run_sync`: calls are written once, and sync."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from psycopg import AsyncConnection, AsyncCursor

T = TypeVar("T")


class AwaitedCursor:
    """What `sql.run` needs of a cursor."""

    def __init__(self, cursor: AsyncCursor[Any]) -> None:
        self._cursor = cursor

    def execute(self, query: Any, values: Any = None, *, prepare: bool | None = None) -> AwaitedCursor:
        wait(self._cursor.execute(query, values, prepare=prepare))
        return self

    def fetchone(self) -> Any:
        return wait(self._cursor.fetchone())

    def fetchall(self) -> list[Any]:
        return list(wait(self._cursor.fetchall()))

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount


class Awaited:
    """What the core needs of a connection, in the middle of the caller's own asynchronous transaction."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self.asynchronous, self.info, self.autocommit = connection, connection.info, connection.autocommit

    def cursor(self, *, row_factory: Any) -> AwaitedCursor:
        return AwaitedCursor(self.asynchronous.cursor(row_factory=row_factory))


def wait(what: Any) -> Any:
    """Await inside `run_sync`."""
    from sqlalchemy.util import await_only

    return await_only(what)


def run_blocking(lent: Any, work: Callable[..., T], *arguments: Any) -> T:
    """Do work that blocks: in a thread where `lent` belongs to an event loop that others wait for."""
    if isinstance(lent, Awaited):
        return wait(asyncio.to_thread(work, lent, *arguments))  # type: ignore[no-any-return]
    return work(lent, *arguments)
