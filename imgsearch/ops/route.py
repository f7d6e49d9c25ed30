"""What the doctor knows of the way to the database: a pooler in it, a replica at its end, a primary behind that.

The settings say where the way begins, so the database's own views cannot know of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg

from imgsearch import db
from imgsearch.db import sql
from imgsearch.db.pooler import is_pooled
from imgsearch.errors import DatabaseError
from imgsearch.ops.doctor import Finding
from imgsearch.settings import Settings

PATIENCE = 5.0  # seconds in which a replica shows what its primary had written before

Connection = psycopg.Connection[Any]


def examine(settings: Settings, *, patience: float = PATIENCE) -> list[Finding]:
    """Return what is wrong on the way to the database; reads only. Raises DatabaseUnreachable, DatabaseError."""
    with db.connect(settings, autocommit=True) as here:
        found = [*_pooled(settings, here)]
        if sql.value(here, "schema", "is_replica"):
            found += _replica(settings, here, patience)
    return found


def _pooled(settings: Settings, here: Connection) -> Iterator[Finding]:
    if is_pooled(here) and not settings.direct_url:
        yield Finding(
            check_name="pooler without direct URL",
            severity="advice",
            detail="IMGSEARCH_DATABASE_URL leads through a pooler, and IMGSEARCH_DIRECT_URL is not set",
            impact="Where a worker has the same settings no NOTIFY reaches it: it looks for work four times a second.",
            fix="-- set IMGSEARCH_DIRECT_URL to the database's own address, for workers, upgrades and upkeep",
        )


def _replica(settings: Settings, here: Connection, patience: float) -> Iterator[Finding]:
    if not settings.primary_url:
        yield Finding(
            check_name="replica without primary",
            severity="problem",
            detail="IMGSEARCH_DATABASE_URL leads to a replica, and IMGSEARCH_PRIMARY_URL is not set",
            impact="What nobody asked before cannot be asked, and nothing can be added or changed.",
            fix="-- set IMGSEARCH_PRIMARY_URL to the server that may be written to",
        )
        yield from _behind(here, None, patience)
        return
    try:
        with db.connect_primary(settings, autocommit=True) as primary:
            if sql.value(primary, "schema", "is_replica"):
                yield Finding(
                    check_name="primary only reads",
                    severity="problem",
                    detail="IMGSEARCH_PRIMARY_URL leads to a replica, too",
                    impact="What nobody asked before cannot be asked, and nothing can be added or changed.",
                    fix="-- set IMGSEARCH_PRIMARY_URL to the server that may be written to; several hosts with "
                    "target_session_attrs=read-write find it by themselves",
                )
                return
            yield from _behind(here, primary, patience)
    except DatabaseError as error:
        yield Finding(
            check_name="primary unreachable",
            severity="problem",
            detail=str(error).rpartition(". ")[0],
            impact="What nobody asked before cannot be asked, and nothing can be added or changed.",
            fix="-- start the server that IMGSEARCH_PRIMARY_URL names, or promote a replica and name that one",
        )


def _behind(here: Connection, primary: Connection | None, patience: float) -> Iterator[Finding]:
    """Look whether the replica comes to where its primary, or what it was sent, is now."""
    try:
        received = sql.rows(here, "doctor", "received")[0]
        position = sql.value(primary, "doctor", "written") if primary else received["position"]
        seen = _seen(here, position, patience)
    except psycopg.Error:
        return  # a server that knows no such positions, as Aurora: its replicas share the disk
    if seen["there"] and (received["followed"] or primary):
        return
    why = "replaying is paused" if seen["paused"] else "" if received["followed"] else "nobody sends it anything"
    left = f"{seen['left']} are left, " if not seen["there"] else ""
    yield Finding(
        check_name="replica behind",
        severity="problem",
        detail=f"{left}its newest commit is {seen['age'] or 'unknown'} old{why and f'; {why}'}",
        impact="Searches here miss what was added since, and find what was deleted.",
        fix="SELECT pg_wal_replay_resume();"
        if seen["paused"]
        else "SELECT * FROM pg_stat_replication;  -- on the primary; pg_stat_wal_receiver here",
    )


def _seen(here: Connection, position: str, patience: float) -> dict[str, Any]:
    deadline = time.monotonic() + patience
    while True:
        seen = dict(sql.rows(here, "doctor", "replayed", {"position": position})[0])
        if seen["there"] or seen["paused"] or time.monotonic() > deadline:
            return seen
        time.sleep(0.05)
