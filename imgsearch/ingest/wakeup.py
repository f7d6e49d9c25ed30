"""Tell workers that there is something to do.

The database's own NOTIFY wakes them at COMMIT, whoever wrote the row. Beside it goes a Celery message without payload,
where the connection says when it has committed: a SQLAlchemy Session, a Django connection, psycopg in autocommit.
A psycopg transaction and a SQLAlchemy Connection have no hook after COMMIT: there NOTIFY does it alone. Either message
may be lost, because workers look into the database every few seconds.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Literal

from psycopg import Connection
from psycopg.pq import TransactionStatus

from imgsearch.db.psycopg_connection import Connectable, DjangoConnection
from imgsearch.errors import SettingsError
from imgsearch.servers import redis_url
from imgsearch.settings import Settings, process_settings

if TYPE_CHECKING:
    from celery import Celery
    from sqlalchemy.orm import Session

Queue = Literal["images", "queries"]
QUEUES: dict[str, str] = {"images": "imgsearch.images", "queries": "imgsearch.queries"}
TASKS: dict[str, str] = {"images": "imgsearch.wake_images", "queries": "imgsearch.wake_queries"}
_WAITING = "imgsearch_added"  # in Session.info: the settings of what was added and not yet committed
_under_way: list[Thread] = []  # the one that sends now


def notify_workers(settings: Settings, queue: Queue = "images") -> bool:
    """Send the workers of a queue a Celery message; return whether the broker took it. Call it after COMMIT.

    Never raises for a broker that is down. Without a broker there is nothing to send, and False comes back.
    """
    url = redis_url(settings)
    if not url:
        return False
    try:
        from kombu.exceptions import KombuError
        from redis.exceptions import RedisError
    except ModuleNotFoundError:  # the extra `broker`; without it the database's NOTIFY does it alone
        return False

    try:
        # An hour-old message says nothing; without an expiry they would pile up while no worker runs.
        _client(url).send_task(TASKS[queue], queue=QUEUES[queue], ignore_result=True, expires=60, retry=False)
    except (KombuError, RedisError, OSError):
        return False
    return True


def notify_after_commit(connection: Connectable, settings: Settings | None = None) -> None:
    """Tell the image workers once what was written on `connection` is committed; `settings` None: the environment's."""
    if isinstance(connection, Connection):
        if connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE:
            _notify_soon(settings)
    elif isinstance(connection, DjangoConnection):
        connection.on_commit(lambda: _notify_soon(settings), robust=True)
    elif (session := _session(connection)) is not None:
        from sqlalchemy import event

        session.info[_WAITING] = settings
        if not event.contains(session, "after_commit", _committed):
            event.listen(session, "after_commit", _committed)


def _session(connection: Connectable) -> Session | None:
    if "sqlalchemy" not in sys.modules:
        return None
    from sqlalchemy.orm import Session, scoped_session

    if isinstance(connection, scoped_session):
        return connection()  # type: ignore[no-any-return]
    return connection if isinstance(connection, Session) else None


def _committed(session: Session) -> None:
    if session.in_nested_transaction() or _WAITING not in session.info:  # a savepoint was released, no more
        return
    _notify_soon(session.info.pop(_WAITING))


def _notify_soon(settings: Settings | None) -> None:
    """Send the message beside the caller, who must not wait for a broker that is away; one under way says the same."""
    # A thread and not a lock: a process forked meanwhile would inherit the lock as taken, for ever.
    if not any(thread.is_alive() for thread in _under_way):
        _under_way[:] = [Thread(target=_notify, args=(settings,), name="imgsearch notify", daemon=True)]
        _under_way[0].start()


def _notify(settings: Settings | None) -> None:
    with suppress(SettingsError):  # said where the settings are used; a message is never worth an error
        notify_workers(settings or process_settings())


@cache
def _client(url: str) -> Celery:
    # Not `from celery import Celery`: celery puts another module in its own place while it is imported, and a thread
    # that meets the import of another thread would look for the name in the first one.
    app: Celery = import_module("celery").Celery("imgsearch-wakeup", broker=url, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        broker_connection_retry=False,
        broker_transport_options={"socket_connect_timeout": 0.5, "socket_timeout": 1.0, "max_retries": 0},
    )
    return app
