"""Borrow the psycopg connection of whatever the caller works with, so that each thing is written once.

A psycopg connection, a SQLAlchemy Session or Connection, and a Django connection all lend the same thing: the
driver connection, in the middle of the caller's own transaction.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast, runtime_checkable

from psycopg import AsyncConnection, Connection

from imgsearch.db.pooler import suit
from imgsearch.db.run_blocking import Awaited
from imgsearch.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection as CoreConnection
    from sqlalchemy.orm import Session, scoped_session


@runtime_checkable
class DjangoConnection(Protocol):
    """What we need of `django.db.connection`."""

    connection: Any

    def ensure_connection(self) -> None: ...

    def on_commit(self, func: Callable[[], object], robust: bool = False) -> None: ...


if TYPE_CHECKING:
    Connectable: TypeAlias = Connection[Any] | Session | scoped_session[Any] | CoreConnection | DjangoConnection
else:
    Connectable: TypeAlias = object  # at run time neither SQLAlchemy nor Django is imported


def driver(connection: Connectable) -> Connection[Any]:
    """Return the psycopg connection behind `connection`.

    An AsyncSession lends its own through `await session.run_sync(add, …)`: the function then gets a Session like any.
    Behind a pooler it prepares no statements from now on. Raises SettingsError on a driver other than psycopg 3.
    """
    found = _lent(connection)
    suit(found)
    return found


def _lent(connection: Connectable) -> Connection[Any]:
    if isinstance(connection, Connection | Awaited):
        return connection
    lent: Any = connection
    if type(lent).__module__.startswith("sqlalchemy.ext.asyncio"):
        raise _asynchronous(connection)
    if hasattr(lent, "get_bind") and callable(getattr(lent, "connection", None)):  # SQLAlchemy Session
        lent = lent.connection()
    if hasattr(lent, "ensure_connection"):  # Django
        lent.ensure_connection()
        lent = lent.connection
    for name in ("connection", "driver_connection"):  # SQLAlchemy Connection → its pool proxy → the driver's
        if not isinstance(lent, Connection) and getattr(lent, name, None) is not None:
            lent = getattr(lent, name)
    if isinstance(lent, AsyncConnection):
        if not _inside_run_sync():
            raise _asynchronous(connection)
        return cast("Connection[Any]", Awaited(lent))
    if not isinstance(lent, Connection):
        raise _another_driver(connection, lent)
    return lent


def _another_driver(connection: object, lent: object) -> SettingsError:
    driver_name = type(lent).__module__.partition(".")[0]
    return SettingsError(
        f"{type(connection).__name__} is on the driver {driver_name}, and lends no psycopg 3 connection. "
        "Use postgresql+psycopg:// with SQLAlchemy, also for its AsyncSession, or psycopg 3 with Django. "
        "On asyncpg nearest() and SQL run as they are: docs/guide-fastapi.md."
    )


def _inside_run_sync() -> bool:
    if "sqlalchemy" not in sys.modules:
        return False
    from sqlalchemy.util.concurrency import in_greenlet

    return bool(in_greenlet())


def _asynchronous(connection: object) -> UsageError:
    return UsageError(
        f"{type(connection).__name__} is asynchronous; write `await session.run_sync(function, …)`, "
        "for example `await session.run_sync(add, photo, product_id=1)`."
    )
