"""The servers a laptop gets: PostgreSQL with pgvector and Redis, from wheels, under one folder.

They outlive the process that started them; `stop` ends them. Everything they write lies under `home`, apart from
sockets whose path would be too long.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Servers:
    """Where the running servers are: a libpq URL, and a Redis URL as Celery spells it."""

    database_url: str
    redis_url: str


def start(home: Path, *, memory_mb: int | None = None, listen: bool = False, durable: bool = True) -> Servers:
    """Start the servers of `home` and answer where they are. Those that run already stay as they are.

    Any number of processes may call this at once. memory_mb: what Postgres may count on, in MB; None: this
    machine's. listen: Postgres also on a free loopback port, with a password. durable: False leaves out fsync,
    for tests. The three take effect when Postgres is started, not while it runs.
    Raises EmbeddedError when a wheel is missing or the folder is not usable.
    """
    from imgsearch.dev.embedded.place import locked
    from imgsearch.dev.embedded.postgres import start_postgres
    from imgsearch.dev.embedded.redis import start_redis

    with locked(home):
        database_url = start_postgres(home, memory_mb=memory_mb, listen=listen, durable=durable)
        return Servers(database_url, start_redis(home))


def stop(home: Path) -> bool:
    """Stop the servers of `home`, wait until no process of them is left, answer whether any ran.

    Raises EmbeddedError when one will not end.
    """
    from imgsearch.dev.embedded.place import locked
    from imgsearch.dev.embedded.postgres import stop_postgres
    from imgsearch.dev.embedded.redis import stop_redis

    if not home.exists():
        return False
    with locked(home):
        stopped = [stop_redis(home), stop_postgres(home)]
    return any(stopped)


def running(home: Path) -> Servers | None:
    """Return where the servers of `home` are, or None unless both run."""
    from imgsearch.dev.embedded.postgres import postgres_url
    from imgsearch.dev.embedded.redis import redis_url

    database_url, broker_url = postgres_url(home), redis_url(home)
    return Servers(database_url, broker_url) if database_url and broker_url else None
