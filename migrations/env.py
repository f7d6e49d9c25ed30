"""Run migrations: one at a time, and never waiting long for a lock that a shop's queries would queue behind."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, text

from imgsearch import db
from imgsearch.settings import load_settings

VERSION_SCHEMA = "imgsearch"


def run(connection: Connection) -> None:
    """Upgrade or downgrade on `connection`, each migration in a transaction of its own."""
    # The lock comes first: two CREATE SCHEMA IF NOT EXISTS at once can still collide.
    connection.execute(text("SELECT pg_advisory_lock(hashtext('imgsearch.migrations'))"))
    connection.execute(text("CREATE SCHEMA IF NOT EXISTS imgsearch"))
    connection.execute(text("SET lock_timeout = '4s'"))
    connection.commit()
    try:
        context.configure(
            connection=connection,
            version_table="schema_version",
            version_table_schema=VERSION_SCHEMA,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.execute(text("RESET lock_timeout"))
        connection.execute(text("SELECT pg_advisory_unlock(hashtext('imgsearch.migrations'))"))
        connection.commit()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with db.engine(load_settings()).connect() as connected:
        run(connected)
