"""What one app has: its settings, its database connections, its picture store and the secret that signs links."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flask import current_app

from imgsearch.db import sql
from imgsearch.errors import SettingsError
from imgsearch.http.identity import Identity
from imgsearch.http.last_use import LastUse
from imgsearch.http.limiter import Limiter
from imgsearch.http.metrics import WebMetrics
from imgsearch.http.questions import Questions
from imgsearch.http.recent import Recent, RecentOf
from imgsearch.http.sessions import CONNECTIONS, PATIENCE, Sessions
from imgsearch.http.shares import Shares
from imgsearch.http.slow_searches import SlowSearches
from imgsearch.http.waiting import ASSUMED, Waiting, asker
from imgsearch.ingest import picture_store, upload, wakeup
from imgsearch.servers import database_url, primary_url, redis_url
from imgsearch.settings import Settings
from imgsearch.storage import Store

if TYPE_CHECKING:
    from psycopg import Connection, Cursor

log = logging.getLogger("imgsearch.http")
EXTENSION = "imgsearch"
READINESS_SECONDS = 1.0  # how long an answer of /readyz is repeated
COUNTS_SECONDS, COUNTS = (
    2.0,
    256,
)  # how long counts are, and of how many questions (up to 100 kB each)


@dataclass
class AppState:
    """One app's own things. Connections are opened with the first request, again after a fork, never at import."""

    settings: Settings
    identify: Callable[[], Identity | None] | None = None
    url_prefix: str = ""
    allow_anonymous: bool = False
    limiter: Limiter = field(init=False)
    by_address: Limiter = field(init=False)
    metrics: WebMetrics = field(default_factory=WebMetrics)
    sessions: Sessions = field(init=False)
    primary: Sessions = field(init=False)  # for writes; the same but beside a replica
    shares: Shares = field(default_factory=lambda: Shares(CONNECTIONS))
    last_use: LastUse = field(init=False)
    questions: Questions = field(init=False)
    readiness: Recent[dict[str, bool]] = field(init=False)
    counts: RecentOf[Sequence[Any]] = field(default_factory=lambda: RecentOf(COUNTS_SECONDS, COUNTS))
    waiting: Waiting = field(init=False)
    slow_searches: SlowSearches = field(init=False)
    _secret: bytes = field(default=b"", init=False)

    def __post_init__(self) -> None:
        shared = self.settings.http_rate_store == "redis"
        self.limiter = Limiter(self.settings.http_rate, lambda: redis_url(self.settings) if shared else "")
        self.by_address = Limiter(self.settings.http_rate)  # strangers cost Redis nothing either
        prepared, elsewhere = self.settings.prepared_statements, bool(self.settings.primary_url)
        self.sessions = Sessions(lambda: database_url(self.settings), prepared)
        self.primary = Sessions(lambda: primary_url(self.settings), prepared) if elsewhere else self.sessions
        self.last_use = LastUse(self.primary.ask)
        self.questions = Questions(self.primary)
        self.readiness = Recent(READINESS_SECONDS)
        self.slow_searches = SlowSearches(self.settings.slow_search_ms)
        self.waiting = Waiting(
            self.settings.http_threads or ASSUMED,
            self.primary,
            self.settings.query_timeout,
            lambda: self.notify_workers("queries"),
            self.metrics.waited,
            self.settings.primary_url,
        )

    @property
    def store(self) -> Store:
        return upload.open_store(self.settings.storage_url)

    @property
    def own_store(self) -> Store:
        """The same, for who puts something there: as this database's."""
        return self.sessions.ask(lambda connection: picture_store.own_store(connection, self.store))

    @property
    def secret(self) -> bytes:
        """What signs links to thumbnails and photos: the database's own, so that all processes sign alike."""
        if not self._secret:
            self._secret = self.sessions.ask(lambda connection: bytes(sql.value(connection, "http", "secret")))
        return self._secret

    @contextmanager
    def session(
        self, tenant: str | None, *, writes: bool = False, patience: float = PATIENCE
    ) -> Iterator[Connection[Any]]:
        """Lend a connection in a transaction that is walled to `tenant`, of the asker's share; see `Sessions.session`.

        Beside a replica, whoever writes does it at the primary.
        Raises Busy as well.
        """
        with (
            self.shares.of(asker(), patience),
            (self.primary if writes else self.sessions).session(tenant, writes=writes, patience=patience) as connection,
        ):
            yield connection

    def together(
        self, tenant: str | None, send: Callable[[Connection[Any]], Sequence[Cursor[Any]]]
    ) -> list[Sequence[Any]]:
        """Return the rows of statements that only read, in one trip, of the asker's share; see `Sessions.together`.

        Raises Busy as well.
        """
        with self.shares.of(asker(), PATIENCE):
            return self.sessions.together(tenant, send)

    def notify_workers(self, queue: wakeup.Queue) -> None:
        """Wake the workers of a queue; they look by themselves every few seconds anyway."""
        wakeup.notify_workers(self.settings, queue)

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self.sessions.close()
        self.primary.close()


def app_state() -> AppState:
    """Return what the current app has. Raises SettingsError where `init_app` was not called."""
    found = current_app.extensions.get(EXTENSION)
    if not isinstance(found, AppState):
        raise SettingsError("This app has no imgsearch; call ImageSearch().init_app(app) in its factory.")
    return found
