"""The database connections of one app: lent for one request, walled to its tenant, with as few round trips as can be.

A session costs two round trips beside its own statements: BEGIN travels together with the statement that sets tenant,
role and read-only, and COMMIT. A connection is not tried before it is lent; where that first trip shows that it is
dead, another one is taken. What is known beforehand goes as one trip: `together`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from imgsearch.db import sql
from imgsearch.db.pooler import Prepared, is_pooled, suit
from imgsearch.db.session import settle
from imgsearch.db.sqlstate import translated
from imgsearch.errors import DatabaseError, DatabaseUnreachable, ReadOnlyDatabase
from imgsearch.extras import needed
from imgsearch.query.memory import database_of

if TYPE_CHECKING:
    from psycopg import Connection, Cursor
    from psycopg_pool import ConnectionPool

T = TypeVar("T")
CONNECTIONS = 16  # most at once per process; a thread that waits for a worker or the web has none
TRIES = 4  # connections that may turn out to be dead, one after the other: the pool opens some while a database goes
AGAIN = 60.0  # seconds after which it is tried anew to step down to a role that could not be taken
PATIENCE = 5.0  # seconds to wait for a free connection before the answer is 503


class Sessions:
    """Connections are opened with the first request, again after a fork, never at import."""

    def __init__(self, url: Callable[[], str], prepared: Prepared = "auto", again: float = AGAIN) -> None:
        self._url, self._prepared, self._again = url, prepared, again
        self._pool: ConnectionPool[Any] | None = None
        self._pid = 0
        self._lock = Lock()
        self._can_set_role, self._cannot_until = False, 0.0
        self.address = ""  # where connections lead, as libpq tells it; "" before the first one

    @contextmanager
    def session(self, tenant: str | None, *, writes: bool, patience: float = PATIENCE) -> Iterator[Connection[Any]]:
        """Lend a connection in a transaction that is walled to `tenant`; it commits at the end.

        Without `writes` the transaction is read-only. `patience`: seconds to wait for a connection.
        Raises DatabaseUnreachable, DatabaseError.
        """

        def begin(connection: Connection[Any]) -> None:
            values = self._settings(connection, tenant, writes=writes)
            # psycopg's own BEGIN is a trip of its own; reading, ours travels with what follows. Whoever writes keeps
            # psycopg's way, where a statement after commit() begins a transaction again.
            connection.autocommit = not writes
            with nullcontext() if writes else connection.pipeline():
                if not writes:
                    connection.execute("BEGIN", prepare=False)
                sql.run(connection, "http", "begin", values)

        with translated():
            pool, connection, _ = self._lend(begin, patience)
            try:
                with connection:
                    yield connection
            except (ReadOnlyDatabase, psycopg.errors.ReadOnlySqlTransaction):
                if writes:
                    connection.close()  # what it leads to may have been the primary once; the next looks anew
                raise
            finally:
                _give_back(pool, connection)

    def together(
        self,
        tenant: str | None,
        send: Callable[[Connection[Any]], Sequence[Cursor[Any]]],
        *,
        patience: float = PATIENCE,
    ) -> list[Sequence[Any]]:
        """Return the rows of statements that only read, sent at once: a transaction walled to `tenant`, in one trip.

        send: executes them, each without a look at what another found.
        Raises DatabaseUnreachable, DatabaseError, and what the statements raise.
        """

        def at_once(connection: Connection[Any]) -> list[Sequence[Any]]:
            values = self._settings(connection, tenant, writes=False)
            connection.autocommit = True
            try:
                with connection.pipeline():  # what is sent until the end of it is one transaction, also without BEGIN
                    sql.run(connection, "http", "begin", values)
                    cursors = send(connection)
            except BaseException:
                _forget_prepared(connection)
                raise
            return [cursor.fetchall() for cursor in cursors]

        with translated():
            pool, connection, found = self._lend(at_once, patience)
            _give_back(pool, connection)
            return found

    def _settings(self, connection: Connection[Any], tenant: str | None, *, writes: bool) -> dict[str, str]:
        """Return what a transaction begins with."""
        role = "none"
        if tenant is not None and self.can_set_role(connection):
            role = "imgsearch_writer" if writes else "imgsearch_reader"
        return {"tenant": tenant or "", "read_only": "off" if writes else "on", "role": role}

    def ask(self, question: Callable[[Connection[Any]], T], *, patience: float = PATIENCE) -> T:
        """Return what one statement outside any transaction finds. Raises DatabaseUnreachable, DatabaseError."""

        def alone(connection: Connection[Any]) -> T:
            connection.autocommit = True
            if not is_pooled(connection):  # `_configure` has set its bound
                return question(connection)
            with connection.transaction():
                sql.run(connection, "http", "bound")
                return question(connection)

        with translated():
            pool, connection, found = self._lend(alone, patience)
            _give_back(pool, connection)
            return found

    def can_set_role(self, connection: Connection[Any]) -> bool:
        """Return whether our role may become imgsearch_reader and imgsearch_writer, and is behind the walls then.

        Asked until it may, now and then: an upgrade makes tables before it walls them, and a statement may be ended.
        """
        if self._can_set_role or time.monotonic() < self._cannot_until:
            return self._can_set_role
        found = True
        try:
            with connection.transaction(force_rollback=True):
                for role in ("imgsearch_reader", "imgsearch_writer"):
                    values = {"tenant": "", "read_only": "on", "role": role}
                    sql.run(connection, "http", "begin", values)
                    found = found and bool(sql.value(connection, "http", "is_tenant_restricted"))
                    sql.run(connection, "http", "begin", {**values, "role": "none"})
        except (DatabaseError, psycopg.Error):  # no such role, or not ours to become
            if connection.closed:
                raise
            found = False
        self._can_set_role, self._cannot_until = found, time.monotonic() + self._again
        return found

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None and self._pid == os.getpid():
            pool.close()

    def _lend(
        self, first: Callable[[Connection[Any]], T], patience: float
    ) -> tuple[ConnectionPool[Any], Connection[Any], T]:
        """Take a connection and do the first thing on it; on another one where it turns out to be dead."""
        pool = self._connections()
        from psycopg_pool import PoolClosed, PoolTimeout

        for left in range(TRIES, 0, -1):
            try:
                connection = pool.getconn(patience)
            except (PoolTimeout, PoolClosed) as error:
                raise DatabaseUnreachable from error
            try:
                return pool, connection, first(connection)
            except BaseException:
                dead = connection.closed
                _give_back(pool, connection)
                if left == 1 or not dead:
                    raise
            pool.check()  # the others are dead too, most likely
        raise DatabaseUnreachable  # never: the last try returned or raised

    def _connections(self) -> ConnectionPool[Any]:
        pool = self._pool
        if pool is not None and self._pid == os.getpid():
            return pool
        with self._lock:
            if self._pool is None or self._pid != os.getpid():
                self._pool, self._pid = _open(self._url(), self._configure), os.getpid()
            return self._pool

    def _configure(self, connection: Connection[Any]) -> None:
        """Bound what stands alone. The session is ours only where no pooler lends it to the next client."""
        self.address = self.address or database_of(connection)
        suit(connection, self._prepared)
        if not is_pooled(connection):
            sql.run(connection, "http", "configure")
            connection.commit()
        settle(connection)


def _open(url: str, configure: Callable[[Connection[Any]], None]) -> ConnectionPool[Any]:
    with needed("flask", "The page and the HTTP API"):
        from psycopg_pool import ConnectionPool

    return ConnectionPool(
        url,
        min_size=1,
        max_size=CONNECTIONS,
        max_idle=120,
        reconnect_timeout=30,
        kwargs={"application_name": "imgsearch http"},
        configure=configure,
        open=True,
        name="imgsearch",
    )


def _forget_prepared(connection: Connection[Any]) -> None:
    """Have psycopg prepare anew: behind an error a server skips what is sent, also what it was to prepare.

    psycopg counts that as prepared until it sees a ROLLBACK. One trip, where a search is refused.
    """
    if not connection.closed and connection.prepare_threshold is not None:
        connection.execute("BEGIN; ROLLBACK", prepare=False)


def _give_back(pool: ConnectionPool[Any], connection: Connection[Any]) -> None:
    try:
        if not connection.closed:
            if connection.info.transaction_status != TransactionStatus.IDLE:
                connection.rollback()
            connection.autocommit = False
    finally:
        pool.putconn(connection)
