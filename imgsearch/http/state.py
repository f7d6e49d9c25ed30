"""What one app has: its settings, its database connections, its picture store and the secret that signs links."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

import psycopg
from flask import current_app

from imgsearch.db import sql
from imgsearch.db.sqlstate import translated
from imgsearch.errors import DatabaseError, DatabaseUnreachable, SettingsError
from imgsearch.extras import needed
from imgsearch.http.identity import Identity
from imgsearch.http.rate import Rate
from imgsearch.ingest import upload, wakeup
from imgsearch.servers import database_url
from imgsearch.settings import Settings
from imgsearch.storage import Store

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg_pool import ConnectionPool

EXTENSION = "imgsearch"
CONNECTIONS = 16  # most at once per process: one per thread of a usual server
PATIENCE = 5.0  # seconds to wait for a free connection before the answer is 503


@dataclass
class AppState:
    """One app's own things. Connections are opened with the first request, again after a fork, never at import."""

    settings: Settings
    identify: Callable[[], Identity | None] | None = None
    url_prefix: str = ""
    allow_anonymous: bool = False
    rate: Rate = field(init=False)
    _pool: ConnectionPool[Any] | None = field(default=None, init=False)
    _pid: int = field(default=0, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)
    _secret: bytes = field(default=b"", init=False)
    _steps_down: bool | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.rate = Rate(self.settings.http_rate)

    @property
    def store(self) -> Store:
        return upload.open_store(self.settings.storage_url)

    @property
    def secret(self) -> bytes:
        """What signs links to thumbnails and photos: the database's own, so that all processes sign alike."""
        if not self._secret:
            with self.session(None) as connection:
                self._secret = bytes(sql.value(connection, "http", "secret"))
        return self._secret

    @contextmanager
    def session(
        self, tenant: str | None, *, writes: bool = False, patience: float = PATIENCE
    ) -> Iterator[Connection[Any]]:
        """Lend a connection in a transaction of its own that is walled to `tenant`; it commits at the end.

        Without `writes` the transaction is read-only. `patience`: seconds to wait for a connection.
        Raises DatabaseUnreachable, DatabaseError.
        """
        from psycopg_pool import PoolClosed, PoolTimeout

        try:
            with translated(), self._connections().connection(timeout=patience) as connection:
                self._begin(connection, tenant, writes)
                yield connection
        except (PoolTimeout, PoolClosed) as error:
            raise DatabaseUnreachable from error

    def _begin(self, connection: Connection[Any], tenant: str | None, writes: bool) -> None:
        role = "none"
        if tenant is not None and self.steps_down(connection):
            role = "imgsearch_writer" if writes else "imgsearch_reader"
        values = {"tenant": tenant or "", "read_only": "off" if writes else "on", "role": role}
        sql.run(connection, "http", "begin", values)

    def steps_down(self, connection: Connection[Any]) -> bool:
        """Answer whether our role may become imgsearch_reader and imgsearch_writer; asked once."""
        if self._steps_down is None:
            try:
                with connection.transaction(force_rollback=True):
                    for role in ("imgsearch_reader", "imgsearch_writer"):
                        values = {"tenant": "", "read_only": "on", "role": role}
                        sql.run(connection, "http", "begin", values)
                        found = bool(sql.value(connection, "http", "walled"))
                        sql.run(connection, "http", "begin", {**values, "role": "none"})
            except (DatabaseError, psycopg.Error):  # no such role, or not ours to become
                found = False
            self._steps_down = found
        return self._steps_down

    def ring(self, lane: wakeup.Lane) -> None:
        """Nudge the workers of a lane; they look by themselves every few seconds anyway."""
        wakeup.notify_workers(self.settings, lane)

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None and self._pid == os.getpid():
            pool.close()

    def _connections(self) -> ConnectionPool[Any]:
        pool = self._pool
        if pool is not None and self._pid == os.getpid():
            return pool
        with self._lock:
            if self._pool is None or self._pid != os.getpid():
                self._pool, self._pid = _open(database_url(self.settings)), os.getpid()
            return self._pool


def _open(url: str) -> ConnectionPool[Any]:
    with needed("flask", "The page and the HTTP API"):
        from psycopg_pool import ConnectionPool

    return ConnectionPool(
        url,
        min_size=1,
        max_size=CONNECTIONS,
        max_idle=120,
        reconnect_timeout=30,
        kwargs={"application_name": "imgsearch http"},
        configure=_configure,
        check=ConnectionPool.check_connection,
        open=True,
        name="imgsearch",
    )


def _configure(connection: Connection[Any]) -> None:
    sql.run(connection, "http", "configure")
    connection.commit()


def app_state() -> AppState:
    """Answer what the current app has. Raises SettingsError where `init_app` was not called."""
    found = current_app.extensions.get(EXTENSION)
    if not isinstance(found, AppState):
        raise SettingsError("This app has no imgsearch; call ImageSearch().init_app(app) in its factory.")
    return found
