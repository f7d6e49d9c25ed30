"""Reach the database: connect, migrate, and say in words what is not as it should be."""

from __future__ import annotations

from contextvars import ContextVar
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from packaging.version import Version

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.db.sqlstate import translated
from imgsearch.errors import DatabaseError, ExtensionMissing, SchemaBehind
from imgsearch.servers import database_url

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Engine

    from imgsearch.settings import Settings

OLDEST_POSTGRES = 150000
OLDEST_PGVECTOR = Version("0.8.4")  # 0.8.3 and 0.8.4 repair index corruption after vacuum


def connect(settings: Settings, **options: Any) -> psycopg.Connection[Any]:
    """Open a psycopg connection. Raises DatabaseUnreachable, DatabaseError."""
    with translated():
        return psycopg.connect(database_url(settings), **({"application_name": "imgsearch"} | options))


def engine(settings: Settings, **options: Any) -> Engine:
    """Answer a SQLAlchemy engine on the same database."""
    import sqlalchemy

    address = database_url(settings)
    return sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(address), **options)


def migrations() -> Path:
    """Answer the folder of the migrations: inside the installed package, or at the top of a checkout."""
    inside = Path(str(files("imgsearch"))) / "migrations"
    return inside if inside.is_dir() else inside.parent.parent / "migrations"


def _alembic() -> Config:
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    return configuration


def upgrade(settings: Settings, revision: str = "head") -> str | None:
    """Bring the schema to `revision`; answer the revision it is at now.

    Raises DatabaseUnreachable, DatabaseRights, ExtensionMissing, DatabaseError.
    """
    from alembic import command

    return _migrate(settings, lambda configuration: command.upgrade(configuration, revision))


def downgrade(settings: Settings, revision: str) -> str | None:
    """Take the schema back to `revision` ("base" removes everything); answer the revision it is at now."""
    from alembic import command

    return _migrate(settings, lambda configuration: command.downgrade(configuration, revision))


def _migrate(settings: Settings, step: Any) -> str | None:
    from sqlalchemy.exc import DBAPIError

    configuration = _alembic()
    connected = engine(settings)
    try:
        with translated(), connected.connect() as connection:
            configuration.attributes["connection"] = connection
            step(configuration)
            return revision_of(driver(connection))
    except DBAPIError as error:
        with translated():
            raise (error.orig if isinstance(error.orig, psycopg.Error) else error) from error
        raise
    finally:
        connected.dispose()


def head() -> str | None:
    """Answer the newest revision this version of imgsearch knows."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_alembic()).get_current_head()


def revision_of(connection: psycopg.Connection[Any]) -> str | None:
    """Answer the revision the schema is at, or None when imgsearch was never set up here."""
    if not sql.value(connection, "db", "has_version"):
        return None
    found: str | None = sql.value(connection, "db", "version")
    return found


def check(connection: psycopg.Connection[Any]) -> None:
    """Raise what is wrong: ExtensionMissing, or SchemaBehind when migrations are not applied."""
    require_extension(connection)
    found, wanted = revision_of(connection), head()
    if found != wanted:
        raise SchemaBehind(
            f"The schema is at {found or 'nothing'}, this version needs {wanted}. Run `imgsearch db upgrade`."
        )


def require_extension(connection: psycopg.Connection[Any]) -> None:
    """Raise DatabaseError below PostgreSQL 15, ExtensionMissing without pgvector 0.8.4 or newer."""
    if connection.info.server_version < OLDEST_POSTGRES:
        raise DatabaseError(
            f"This is PostgreSQL {connection.info.server_version // 10000}; imgsearch needs 15 or newer "
            "(views with security_invoker). Upgrade the server."
        )
    found = sql.value(connection, "db", "extension")
    if found is None:
        raise ExtensionMissing("pgvector is not installed in this database. As its owner run: CREATE EXTENSION vector")
    if Version(found) < OLDEST_PGVECTOR:
        raise ExtensionMissing(
            f"pgvector here is {found}; versions before {OLDEST_PGVECTOR} can corrupt an index on vacuum. "
            "Update the server's package, then run: ALTER EXTENSION vector UPDATE"
        )


def require_pgvector() -> None:
    """Create the extension if it can be created, and check its version; called by the first migration."""
    connection = _migrated()
    with translated():
        if not sql.value(connection, "db", "extension"):
            if not sql.value(connection, "db", "extension_available"):
                raise ExtensionMissing(
                    "This server has no pgvector. Install its package (for example postgresql-18-pgvector), "
                    "or use a managed Postgres that offers it, then run `imgsearch db upgrade` again."
                )
            try:
                with connection.transaction():
                    sql.run(connection, "db", "create_extension")
            except DatabaseError as error:
                raise ExtensionMissing(
                    "pgvector is not installed in this database and this role may not install it. "
                    "As the database's owner run: CREATE EXTENSION vector"
                ) from error
        require_extension(connection)


def apply(file: str) -> None:
    """Run a whole .sql file, `<revision>_<name>.sql`, on the migration's own connection.

    Inside a host application's own Alembic history the version lives in two tables: its and ours. Ours says what is
    there, so a file that `imgsearch db upgrade` has run already is passed over, and what runs here is noted there.
    """
    connection = _migrated()
    if _passed_over(connection, file):
        return
    with translated():
        # Straight to the driver: no parameters, so that the file may hold many statements and percent signs.
        connection.execute(sql.text(file).encode())


def apply_revision(connection: Connectable, revision: str) -> None:
    """Apply one revision in the caller's transaction, unless it is there; for migrations that are not Alembic's."""
    lent = driver(connection)
    with translated():
        sql.run(lent, "db", "lock_migrations")
        sql.run(lent, "db", "create_schema")
        sql.run(lent, "db", "create_version")
    if revision in _up_to(revision_of(lent)):
        return
    _step(lent, "upgrade", revision, revision)


def revert_revision(connection: Connectable, revision: str) -> None:
    """Take one revision back in the caller's transaction, and before it those that build on it."""
    lent = driver(connection)
    while revision in (there := _up_to(revision_of(lent))):
        _step(lent, "downgrade", there[0], there[1] if len(there) > 1 else None)


def revisions() -> list[str]:
    """Answer every revision, the oldest first."""
    return list(reversed(_up_to(head())))


def _up_to(revision: str | None) -> list[str]:
    """Answer `revision` and those below it, the newest first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_alembic())
    return [script.revision for script in scripts.iterate_revisions(revision, "base")] if revision else []


def _step(lent: psycopg.Connection[Any], direction: str, revision: str, stamp: str | None) -> None:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(_alembic()).get_revision(revision)
    token = _lent.set(lent)
    try:
        getattr(script.module, direction)()
    finally:
        _lent.reset(token)
    with translated():
        sql.run(lent, "db", "stamp", {"revision": stamp})


def _migrated() -> psycopg.Connection[Any]:
    """Answer the connection that a migration runs on: one that was lent, else Alembic's."""
    if (lent := _lent.get()) is not None:
        return lent
    from alembic import op

    return driver(op.get_bind())


_lent: ContextVar[psycopg.Connection[Any] | None] = ContextVar("imgsearch_migrated", default=None)


def _passed_over(connection: psycopg.Connection[Any], file: str) -> bool:
    """Note a file in our version table where a host's Alembic runs it; answer whether it was there already."""
    if _lent.get() is not None:
        return False
    from alembic import op

    context = op.get_context()
    if context.version_table == "schema_version":
        return False
    revision, down = file[:4], file.endswith("_down")
    begun = context.opts.setdefault("imgsearch_begun", set())  # a revision may be several files
    if (revision, down) in begun:
        return False
    sql.run(connection, "db", "create_schema")
    sql.run(connection, "db", "create_version")
    current = revision_of(connection) or "0000"
    if (current < revision) if down else (current >= revision):
        return True
    begun.add((revision, down))
    number = int(revision) - down
    sql.run(connection, "db", "stamp", {"revision": f"{number:04}" if number else None})
    return False
