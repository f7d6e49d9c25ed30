"""Run our own branch alone: `alembic upgrade imgsearch@head`. A host's history brings its own env.py."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from imgsearch import db
from imgsearch.schema import migrate
from imgsearch.settings import load_settings


def run(connection: Connection) -> None:
    """Upgrade or remove on `connection`; what is applied whole follows also where no revision is new."""
    context.configure(connection=connection, version_table="imgsearch_alembic_version", transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
        migrate.refresh(connection)


with db.engine_direct(load_settings()).connect() as connected:
    run(connected)
