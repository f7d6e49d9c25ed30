"""The schema of the database: the SQL that makes it, and what brings a database up to date with it."""

from __future__ import annotations

from imgsearch import db
from imgsearch.schema import migrate
from imgsearch.schema.migrate import check, current, head
from imgsearch.settings import Settings

__all__ = ["check", "current", "head", "remove", "upgrade"]


def upgrade(settings: Settings) -> str:
    """Bring the schema of the configured database up to date; return its newest table step."""
    with db.connect(settings, autocommit=True) as connection:
        return migrate.upgrade(connection)


def remove(settings: Settings) -> None:
    """Remove the schema from the configured database."""
    with db.connect(settings, autocommit=True) as connection:
        migrate.remove(connection)
