"""Give back what a restore into another cluster leaves out: roles, row-level security, rights."""

from __future__ import annotations

from dataclasses import dataclass

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.db.sqlstate import translated
from imgsearch.schema import migrate, objects, source


@dataclass(frozen=True)
class Mended:
    """`rights`: how many were not as they must be before; `missing`: roles that this role may not create."""

    rights: int
    missing: tuple[str, ...]

    @property
    def statements(self) -> str:
        """Return what an administrator types for the roles that are missing; '' when none is."""
        return " ".join(f"CREATE ROLE {name} NOLOGIN;" for name in self.missing)


def missing(connection: Connectable) -> tuple[tuple[str, ...], int]:
    """Return the roles that this server lacks, and how many rights are not as they must be."""
    lent = driver(connection)
    return tuple(sql.value(lent, "schema", "missing_roles")), int(sql.value(lent, "schema", "missing_rights"))


def mend(connection: Connectable) -> Mended:
    """Create the roles that are missing, where that is allowed, and give each its rights; safe to run again.

    Raises SchemaBehind, SchemaAhead, DatabaseRights.
    """
    lent = driver(connection)
    migrate.check(lent)
    with translated(), lent.transaction():
        sql.run(lent, "schema", "lock")
        before = int(sql.value(lent, "schema", "missing_rights"))
        objects.run(lent, source.rest("grants"))
        return Mended(before, tuple(sql.value(lent, "schema", "missing_roles")))
