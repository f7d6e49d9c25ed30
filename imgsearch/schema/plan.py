"""What an upgrade will do: steps, locks, rows, seconds, room on disk; nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg.rows import TupleRow

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.db.sqlstate import translated
from imgsearch.schema import applied as noted
from imgsearch.schema import objects, source
from imgsearch.schema.applied import Applied, applied
from imgsearch.schema.window import RELEASE

Connection = psycopg.Connection[TupleRow]
OBJECT_SECONDS = 0.003  # to make one function, view or trigger; python -m bench.rolling
REST_SECONDS = 0.3  # rights, and what is written for each space


@dataclass(frozen=True, kw_only=True)
class Line:
    """One part of an upgrade. locks: table → the strongest mode; held: how long readers or writers wait for it."""

    step: str
    part: str
    how: str
    locks: dict[str, str]
    rows: int
    seconds: float
    disk_bytes: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """From where to where, and each part in order. online: whether others search and write meanwhile."""

    current: str | None
    release: str | None
    head: str
    to_release: str
    online: bool
    lines: tuple[Line, ...]


def plan(connection: Connectable) -> Plan:
    """Return what `upgrade` would do here; no lines where there is nothing to do, or the schema is ahead."""
    lent = driver(connection)
    with translated(), lent.transaction():
        found = applied(lent)
        lines = () if found is not None and found.release > RELEASE else (*_steps(lent, found), *_rest(lent, found))
        return Plan(
            current=found.step if found else None,
            release=str(found.release) if found else None,
            head=source.steps()[-1].name,
            to_release=str(RELEASE),
            online=found is not None and all(step.online for step in found.missing),
            lines=lines,
        )


def _steps(lent: Connection, found: Applied | None) -> list[Line]:
    missing = source.steps() if found is None else found.missing
    return [
        Line(
            step=step.name,
            part=f"{number + 1} of {len(step.parts)}",
            how=part.how,
            locks=dict(part.locks or {}),
            rows=(rows := _rows(lent, part.table)),
            seconds=round(rows / 1e6 * part.seconds_per_million, 1),
            disk_bytes=int(rows * part.bytes_per_row),
        )
        for step in missing
        for number, part in enumerate(step.parts)
        if found is None or number >= found.parts.get(step.name, 0)
    ]


def _rows(lent: Connection, table: str | None) -> int:
    return int(sql.value(lent, "schema", "rows", {"table": table}) or 0) if table else 0


def _rest(lent: Connection, found: Applied | None) -> list[Line]:
    if found is not None and found.is_complete:
        return []
    made = source.objects() if found is None else _changed(lent)
    locks = {
        one.name.split(" ON ")[-1]: "SHARE ROW EXCLUSIVE" if one.kind == "TRIGGER" else "ACCESS EXCLUSIVE"
        for one in made
        if one.kind in ("TRIGGER", "VIEW") and found is not None
    }
    seconds = round(REST_SECONDS + len(made) * OBJECT_SECONDS, 1)
    return [
        Line(
            step="functions",
            part=f"{len(made)} objects",
            how="brief",
            locks=locks,
            rows=0,
            seconds=seconds,
            disk_bytes=0,
        )
    ]


def _changed(lent: Connection) -> tuple[source.Object, ...]:
    with noted.settings(lent):
        return objects.changed(lent)
