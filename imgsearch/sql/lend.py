"""Borrow the psycopg connection of whatever the caller works with, so that each thing is written once.

A psycopg connection, a SQLAlchemy Session or Connection, and a Django connection all lend the same thing: the
driver connection, in the middle of the caller's own transaction.
"""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from imgsearch.errors import UsageError


def driver(connection: Any) -> Connection[Any]:
    """Answer the psycopg connection behind `connection`.

    Raises UsageError for anything that is not on psycopg 3.
    """
    if isinstance(connection, Connection):
        return connection
    lent: Any = connection
    if hasattr(lent, "get_bind") and callable(getattr(lent, "connection", None)):  # SQLAlchemy Session
        lent = lent.connection()
    if hasattr(lent, "ensure_connection"):  # Django
        lent.ensure_connection()
        lent = lent.connection
    for name in ("connection", "driver_connection"):  # SQLAlchemy Connection → its pool proxy → the driver's
        if not isinstance(lent, Connection) and getattr(lent, name, None) is not None:
            lent = getattr(lent, name)
    if not isinstance(lent, Connection):
        raise UsageError(
            f"{type(connection).__name__} does not lend a psycopg 3 connection; "
            "use postgresql+psycopg:// with SQLAlchemy, or psycopg 3 with Django."
        )
    return lent
