"""A worker's line to the database: one that notices when the other end is gone, and never waits for ever."""

from __future__ import annotations

from typing import Any

import psycopg

from imgsearch import db
from imgsearch.db.pooler import is_pooled
from imgsearch.errors import DatabaseError
from imgsearch.settings import Settings

# What a new connection may mend; also a server that became a replica and kept the old one, as some do on failover.
AWAY = (psycopg.OperationalError, DatabaseError)
# A database that vanished without a word (a pulled cable, a failed-over host) is noticed after about 20 s.
_PATIENCE: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,
}
_STATEMENT_SECONDS = 60  # none of ours takes a second; one that hangs must not hold leases for ever


def connect(settings: Settings, name: str) -> psycopg.Connection[Any]:
    """Open a connection in autocommit whose statements end by themselves. Raises DatabaseUnreachable, DatabaseError.

    Through a pooler the session is the next client's, too, so nothing is set: there the pooler's query_timeout counts.
    """
    connection = db.connect_direct(settings, autocommit=True, application_name=name, **_PATIENCE)
    if is_pooled(connection):
        return connection
    connection.execute("SELECT pg_catalog.set_config('statement_timeout', %s, false)", (f"{_STATEMENT_SECONDS}s",))
    return connection
