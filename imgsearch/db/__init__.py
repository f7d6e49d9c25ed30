"""Reach the database: a connection, an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from imgsearch.db.sqlstate import translated
from imgsearch.servers import database_url

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from imgsearch.settings import Settings


def connect(settings: Settings, **options: Any) -> psycopg.Connection[Any]:
    """Open a psycopg connection. Raises DatabaseUnreachable, DatabaseError."""
    with translated():
        return psycopg.connect(database_url(settings), **({"application_name": "imgsearch"} | options))


def engine(settings: Settings, **options: Any) -> Engine:
    """Return a SQLAlchemy engine on the same database."""
    import sqlalchemy

    address = database_url(settings)
    return sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(address), **options)
