"""Give back what a restore into another cluster leaves out: roles, row-level security, rights."""

from __future__ import annotations

from dataclasses import dataclass, replace

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.db.sqlstate import translated
from imgsearch.schema import applied as noted
from imgsearch.schema import migrate, objects, source, turn


@dataclass(frozen=True)
class Mended:
    """`rights`: how many were not as they must be before; `missing`: roles that this role may not create.

    statements: what an administrator types for these, and for the owner to step down to them; '' for nothing.
    """

    rights: int
    missing: tuple[str, ...]
    statements: str


def missing(connection: Connectable) -> Mended:
    """Return what mend() would, and change nothing."""
    lent = driver(connection)
    roles, typed = (sql.value(lent, "schema", name) for name in ("missing_roles", "missing_grants"))
    return Mended(int(sql.value(lent, "schema", "missing_rights")), tuple(roles), str(typed))


def mend(connection: Connectable) -> Mended:
    """Create the roles that are missing, where that is allowed, and give each its rights; safe to run again.

    Raises SchemaBehind, SchemaAhead, DatabaseRights.
    """
    lent = driver(connection)
    migrate.check(lent)
    with translated(), lent.transaction():
        turn.take(lent)
        before = missing(lent)
        with noted.settings(lent):
            objects.run(lent, source.rest("grants"))
        return replace(missing(lent), rights=before.rights)
