"""Reach the database: a connection, an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from imgsearch.db.pooler import suit
from imgsearch.db.session import settle
from imgsearch.db.sqlstate import translated
from imgsearch.servers import database_url, direct_url, primary_url, setting_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from imgsearch.settings import Settings


def connect(settings: Settings, **options: Any) -> psycopg.Connection[Any]:
    """Open a psycopg connection, perhaps to a replica. Raises DatabaseUnreachable, DatabaseError."""
    return _opened(settings, database_url(settings), options)


def connect_primary(settings: Settings, **options: Any) -> psycopg.Connection[Any]:
    """Open a connection to the server that takes writes. Raises DatabaseUnreachable, DatabaseError."""
    return _opened(settings, primary_url(settings), options)


def connect_direct(settings: Settings, **options: Any) -> psycopg.Connection[Any]:
    """Open a connection to the server that takes writes, around a pooler where such an address is known.

    Raises DatabaseUnreachable, DatabaseError.
    """
    return _opened(settings, direct_url(settings), options)


def engine(settings: Settings, **options: Any) -> Engine:
    """Return a SQLAlchemy engine on the same database."""
    import sqlalchemy

    return sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: connect(settings), **options)


def engine_direct(settings: Settings, **options: Any) -> Engine:
    """Return a SQLAlchemy engine on what `connect_direct` connects to."""
    import sqlalchemy

    return sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: connect_direct(settings), **options)


def _opened(settings: Settings, url: str, options: dict[str, Any]) -> psycopg.Connection[Any]:
    with translated(setting_of(settings, url)):
        connection = psycopg.connect(url, **({"application_name": "imgsearch"} | options))
        suit(connection, settings.prepared_statements)
        settle(connection)
        return connection
