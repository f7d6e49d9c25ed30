"""The schema of the database: the SQL that makes it, and what brings a database up to date with it."""

from __future__ import annotations

from imgsearch import db
from imgsearch.schema import migrate
from imgsearch.schema.brief import PATIENCE, Say
from imgsearch.schema.migrate import check, current, head
from imgsearch.settings import Settings

__all__ = ["check", "current", "head", "remove", "upgrade"]


def upgrade(settings: Settings, *, patience: float = PATIENCE, say: Say | None = None) -> str:
    """Bring the schema of the configured database up to date, beside whoever works there; return its newest step.

    patience: for how many seconds a moment is looked for in which a table is free; say: told what is going on.
    """
    with db.connect_direct(settings, autocommit=True) as connection:
        return migrate.upgrade(connection, patience=patience, say=say)


def remove(settings: Settings) -> None:
    """Remove the schema from the configured database."""
    with db.connect_direct(settings, autocommit=True) as connection:
        migrate.remove(connection)
