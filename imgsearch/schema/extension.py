"""Check the server and pgvector: what is too old is refused, because it would lose rows without a word.

With pgvector 0.8.0 to 0.8.3 there is no HNSW, which vacuum could corrupt there: searches compare bits and exactly.
"""

from __future__ import annotations

import re

import psycopg
from packaging.version import Version
from psycopg.rows import TupleRow

from imgsearch.db import sql
from imgsearch.db.sqlstate import translated
from imgsearch.errors import DatabaseError, ExtensionMissing

OLDEST_POSTGRES = 150000
OLDEST_PGVECTOR = Version("0.8.0")  # the first with iterative scans, which plain SQL needs for whole pages
OLDEST_WITH_GRAPH = Version("0.8.4")  # 0.8.3 and 0.8.4 repair index corruption after vacuum
_NUMBERS = re.compile(r"\d+(\.\d+)*")  # of 0.8.0.google-3 the first part
_MISSING = (
    "pgvector is not installed in this database, and its owner may not install it: pgvector is no trusted extension. "
    "An administrator (a superuser, or what a rented server has for one) types in this database: "
)

Connection = psycopg.Connection[TupleRow]


def require_server(connection: Connection) -> None:
    """Raise DatabaseError below PostgreSQL 15, and where a database cannot hold every letter."""
    if connection.info.server_version < OLDEST_POSTGRES:
        raise DatabaseError(
            f"This is PostgreSQL {connection.info.server_version // 10000}; imgsearch needs 15 or newer "
            "(views with security_invoker). Upgrade the server."
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in {"UTF8", None}:  # some poolers do not tell
        raise DatabaseError(
            f"This database keeps texts in {encoding}, which has no room for most letters; imgsearch needs UTF8. "
            "Make another one: createdb --encoding UTF8 --template template0 NAME"
        )


def require(connection: Connection) -> None:
    """Raise DatabaseError as `require_server` does, ExtensionMissing without pgvector 0.8.0 or newer."""
    require_server(connection)
    found = sql.value(connection, "schema", "extension")
    if found is None:
        raise ExtensionMissing(
            "pgvector is not installed in this database. `imgsearch db upgrade` installs it where its role may; else "
            "an administrator (a superuser, or what a rented server has for one) types here: CREATE EXTENSION vector"
        )
    if _version(found) < OLDEST_PGVECTOR:
        raise ExtensionMissing(
            f"pgvector here is {found}; versions before {OLDEST_PGVECTOR} give short pages where plain SQL filters. "
            "Update the server's package, then an administrator types: ALTER EXTENSION vector UPDATE"
        )


def require_graph(connection: Connection) -> None:
    """Raise ExtensionMissing where no HNSW is made, because this pgvector would not keep it whole."""
    found = sql.value(connection, "schema", "extension")
    if found and _version(found) < OLDEST_WITH_GRAPH:
        raise ExtensionMissing(
            f"pgvector here is {found}; versions before {OLDEST_WITH_GRAPH} can corrupt an HNSW on vacuum, so none is "
            "built, and searches compare bits. Update the server's package; an administrator types: "
            "ALTER EXTENSION vector UPDATE; then run `imgsearch index build`."
        )


def _version(found: str) -> Version:
    numbers = _NUMBERS.match(found)
    return Version(numbers[0] if numbers else "0")


def create(connection: Connection) -> None:
    """Create the extension if it is missing and can be created; then require it."""
    require_server(connection)
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
            raise ExtensionMissing(_MISSING + "CREATE EXTENSION vector") from error
    require(connection)
