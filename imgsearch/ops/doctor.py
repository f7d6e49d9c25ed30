"""Every known trap a database can be in, by name, with what it costs and the cure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import psycopg

from imgsearch import db
from imgsearch.db import sql
from imgsearch.errors import DatabaseError

SECONDS = 60  # one of the traps looks at every picture


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One trap: what it is called, what was found, what it costs, and the cure as a command or SQL."""

    trap: str
    severity: Literal["problem", "advice"]
    found: str
    costs: str
    cure: str


def examine(connection: psycopg.Connection[Any], *, seconds: float = SECONDS) -> list[Finding]:
    """Answer what is wrong, problems first; nothing when all is well. Reads only, for at most `seconds`.

    A schema that is behind is the only finding then: the others are looked for by the newest one. Raises
    DatabaseUnreachable, DatabaseRights.
    """
    try:
        db.check(connection)
    except DatabaseError as error:
        said, _, cure = str(error).rpartition(". ")
        costs = "This version of imgsearch cannot work, nor look for other traps."
        return [Finding(trap="schema behind", severity="problem", found=said, costs=costs, cure=cure)]
    with connection.transaction():
        connection.execute("SET TRANSACTION READ ONLY")
        sql.run(connection, "doctor", "bounded", {"milliseconds": str(round(seconds * 1000))})
        sql.run(connection, "doctor", "loaded")
        return [Finding(**row) for row in sql.rows(connection, "doctor", "findings")]
