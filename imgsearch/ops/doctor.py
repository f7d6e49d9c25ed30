"""Every known problem a database can have, by name, with what it does to searches, and the fix."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg.sql import Identifier

from imgsearch import schema
from imgsearch.db import sql
from imgsearch.errors import DatabaseError, ExtensionMissing, ImgsearchError, SchemaBehind

SECONDS = 60  # one of the checks looks at every picture
# Of the view imgsearch.doctor, each read by itself: one that fails hides none of the others.
CHECKS = tuple(
    f"doctor_{one}" for one in ("settings", "indexes", "tables", "tuning", "tenants", "rights", "work", "upkeep")
)
BLOCKED = ("pgvector missing", "schema behind", "server does not do")  # nothing else can be looked for then


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One known problem: its name, what was found, what that does to searches, and the fix.

    `fix` has one command or SQL statement per line; what follows "--" is for people.
    """

    check_name: str
    severity: Literal["problem", "advice"]
    detail: str
    impact: str
    fix: str


def examine(connection: psycopg.Connection[Any], *, seconds: float = SECONDS) -> list[Finding]:
    """Return what is wrong, problems first; nothing when all is well. Reads only, for at most `seconds`.

    A schema that is behind is the only finding then: the others are looked for by the newest one. Raises
    DatabaseUnreachable, DatabaseRights.
    """
    if blocked := _blocked(connection):
        return [blocked]
    found: list[Finding] = []
    end = time.monotonic() + seconds
    with connection.transaction():
        connection.execute("SET TRANSACTION READ ONLY")
        sql.run(connection, "doctor", "loaded")
        for view in CHECKS:
            left = max(1, round((end - time.monotonic()) * 1000))
            sql.run(connection, "doctor", "bounded", {"milliseconds": str(left)})
            found += _looked(connection, view)
    return sorted(found, key=lambda one: (one.severity != "problem", one.check_name, one.detail))


def _looked(connection: psycopg.Connection[Any], view: str) -> list[Finding]:
    """Return what one group of checks finds; of one that fails, that it does: the others are looked at all the same."""
    try:
        with connection.transaction():
            names = {"view": Identifier("imgsearch", view)}
            return [Finding(**row) for row in sql.run(connection, "doctor", "findings", names=names)]
    except psycopg.errors.QueryCanceled:
        raise
    except (psycopg.Error, ImgsearchError) as error:
        detail = f"imgsearch.{view} cannot be read: {str(error).partition(chr(10))[0]}"
        impact, fix = "What it looks for is not seen.", "imgsearch db check  -- says what the schema lacks"
        return [Finding(check_name="check fails", severity="problem", detail=detail, impact=impact, fix=fix)]


def _blocked(connection: psycopg.Connection[Any]) -> Finding | None:
    """Return why nothing can be examined, or None."""
    try:
        schema.check(connection)
    except ExtensionMissing as error:
        if sql.value(connection, "schema", "extension"):
            return None  # an old one is a known problem among others: it can corrupt an index, but it does search
        return _stopped("pgvector missing", error, "CREATE EXTENSION vector;")
    except SchemaBehind as error:
        return _stopped("schema behind", error, "imgsearch db upgrade")
    except DatabaseError as error:
        return _stopped("server does not do", error, "-- " + str(error).rpartition(". ")[2])
    return None


def _stopped(check_name: str, error: DatabaseError, fix: str) -> Finding:
    detail = str(error).rpartition(". ")[0]
    impact = "This version of imgsearch cannot work, nor look for other problems."
    return Finding(check_name=check_name, severity="problem", detail=detail, impact=impact, fix=fix)
