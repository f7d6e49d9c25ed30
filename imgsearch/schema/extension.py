"""Check the server and pgvector: what is too old is refused, because it would lose rows without a word."""

from __future__ import annotations

import psycopg
from packaging.version import Version
from psycopg.rows import TupleRow

from imgsearch.db import sql
from imgsearch.db.sqlstate import translated
from imgsearch.errors import DatabaseError, ExtensionMissing

OLDEST_POSTGRES = 150000
OLDEST_PGVECTOR = Version("0.8.4")  # 0.8.3 and 0.8.4 repair index corruption after vacuum

Connection = psycopg.Connection[TupleRow]


def require(connection: Connection) -> None:
    """Raise DatabaseError below PostgreSQL 15, ExtensionMissing without pgvector 0.8.4 or newer."""
    if connection.info.server_version < OLDEST_POSTGRES:
        raise DatabaseError(
            f"This is PostgreSQL {connection.info.server_version // 10000}; imgsearch needs 15 or newer "
            "(views with security_invoker). Upgrade the server."
        )
    found = sql.value(connection, "schema", "extension")
    if found is None:
        raise ExtensionMissing("pgvector is not installed in this database. As its owner run: CREATE EXTENSION vector")
    if Version(found) < OLDEST_PGVECTOR:
        raise ExtensionMissing(
            f"pgvector here is {found}; versions before {OLDEST_PGVECTOR} can corrupt an index on vacuum. "
            "Update the server's package, then run: ALTER EXTENSION vector UPDATE"
        )


def create(connection: Connection) -> None:
    """Create the extension if it is missing and can be created; then require it."""
    if not sql.value(connection, "schema", "extension"):
        if not sql.value(connection, "schema", "extension_available"):
            raise ExtensionMissing(
                "This server has no pgvector. Install its package (for example postgresql-18-pgvector), "
                "or use a managed Postgres that offers it, then run `imgsearch db upgrade` again."
            )
        try:
            with translated(), connection.transaction():
                sql.run(connection, "schema", "create_extension")
        except DatabaseError as error:
            raise ExtensionMissing(
                "pgvector is not installed in this database and this role may not install it. "
                "As the database's owner run: CREATE EXTENSION vector"
            ) from error
    require(connection)
